/* What "grpo-tune --check" does. */
#ifndef CG_AUTOTUNE_CLI_CHECK_H
#define CG_AUTOTUNE_CLI_CHECK_H

#include "autotune/cli/cli.h"

/* CG_ERR_CHECK when the machine is not as it was tuned. */
enum cg_status cg_cli_check(const struct cg_cli_options *o, const struct cg_machine *m);

#endif
