// SPDX-License-Identifier: GPL-2.0

#include <linux/remoteproc.h>

#ifdef CONFIG_REMOTEPROC
#include "../../drivers/remoteproc/remoteproc_internal.h"

__rust_helper int rust_helper_rproc_elf_sanity_check(struct rproc *rproc,
						     const struct firmware *fw)
{
	return rproc_elf_sanity_check(rproc, fw);
}

__rust_helper u64 rust_helper_rproc_elf_get_boot_addr(struct rproc *rproc,
						      const struct firmware *fw)
{
	return rproc_elf_get_boot_addr(rproc, fw);
}

__rust_helper int rust_helper_rproc_elf_load_segments(struct rproc *rproc,
						      const struct firmware *fw)
{
	return rproc_elf_load_segments(rproc, fw);
}

__rust_helper int rust_helper_rproc_elf_load_rsc_table(struct rproc *rproc,
						       const struct firmware *fw)
{
	return rproc_elf_load_rsc_table(rproc, fw);
}

__rust_helper struct resource_table *
rust_helper_rproc_elf_find_loaded_rsc_table(struct rproc *rproc,
					    const struct firmware *fw)
{
	return rproc_elf_find_loaded_rsc_table(rproc, fw);
}

__rust_helper irqreturn_t rust_helper_rproc_vq_interrupt(struct rproc *rproc,
							 int notifyid)
{
	return rproc_vq_interrupt(rproc, notifyid);
}
#endif
