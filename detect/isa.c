#include "detect/isa.h"

static const char *const names[CG_ISA_COUNT] = {[CG_ISA_SCALAR] = "scalar",
#define X(name, text, what) [CG_ISA_##name] = text,
                                                CG_ISA_LIST_X86(X) CG_ISA_LIST_ARM(X)
#undef X
};

static const char *const descriptions[CG_ISA_COUNT] = {[CG_ISA_SCALAR] = "no vector instructions",
#define X(name, text, what) [CG_ISA_##name] = what,
                                                       CG_ISA_LIST_X86(X) CG_ISA_LIST_ARM(X)
#undef X
};

const char *cg_isa_name(enum cg_isa isa)
{
    return (unsigned)isa < CG_ISA_COUNT ? names[isa] : "?";
}

const char *cg_isa_description(enum cg_isa isa)
{
    return (unsigned)isa < CG_ISA_COUNT ? descriptions[isa] : "?";
}
