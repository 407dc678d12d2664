/* What another project does with the installed library: looks at the machine and opens a model. */
#include <stdio.h>

#include "detect/machine.h"
#include "runtime/config/config.h"
#include "runtime/model/model.h"

int main(void)
{
    struct cg_machine m;
    struct cg_run_config c;
    struct cg_model model;
    char hash[17];
    if (cg_machine_detect(&m) != CG_OK || cg_config_defaults(&c) != CG_OK ||
        cg_model_load(c.model, 42, &model) != CG_OK) {
        fprintf(stderr, "use_library: %s\n", cg_error());
        return 1;
    }
    cg_model_hash(&model, hash);
    printf("%d usable cores; %s has %zu parameters, hash %s\n", m.cores_usable, c.model, model.n_params, hash);
    cg_model_free(&model);
    cg_config_free(&c);
    return 0;
}
