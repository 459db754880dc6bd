// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test device: the surroundings of a MediaTek APU core without the chip.
 *
 * The device tree's node /apu-emulator is everything that an APU node refers
 * to: its registers (an emulated IO memory region), interrupt, clocks, power
 * domain and IOMMU. Each access is recorded. A process that opens the node
 * /dev/apu-emulator for writing is the core: read() gives it the record from
 * the beginning, write() of a word raises bits of XTENSA_INT, and mmap()
 * shows memory by device address, through the IOMMU's page table. Whoever
 * opens it for reading alone only gets the record.
 */

#include <linux/clk-provider.h>
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/iommu.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/logic_iomem.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/of.h>
#include <linux/of_clk.h>
#include <linux/platform_device.h>
#include <linux/pm_domain.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#define CONTROL_SIZE	0x200
#define CORE_CTRL	0x110
#define RUN_STALL	BIT(23)
#define XTENSA_INT	0x114
#define CLOCK_COUNT	8
#define EVENT_COUNT	65536

enum event_kind {
	EVENT_READ = 1,		/* @id: offset of the register */
	EVENT_WRITE = 2,	/* @id: offset of the register */
	EVENT_CLOCK = 3,	/* @id: number of the clock, @value: on or off */
	EVENT_POWER = 4,	/* @value: on or off */
};

struct event {
	u32 kind;
	u32 id;
	u32 value;
	u32 pad;
};

struct clock {
	struct clk_hw hw;
	u32 id;
};

static struct {
	spinlock_t lock;		/* guards registers and record */
	u32 control[CONTROL_SIZE / sizeof(u32)];
	u32 count;			/* events so far */
	struct event *events;
	wait_queue_head_t more;

	struct resource registers;
	struct irq_domain *irqs;
	struct generic_pm_domain power;
	struct clock clocks[CLOCK_COUNT];
	struct iommu_device iommu;

	struct mutex core;		/* guards the fields below */
	struct file *core_file;
	struct device *master;		/* behind the IOMMU */
	struct iommu_domain *domain;
} emulator = {
	.lock = __SPIN_LOCK_UNLOCKED(emulator.lock),
	.more = __WAIT_QUEUE_HEAD_INITIALIZER(emulator.more),
	.core = __MUTEX_INITIALIZER(emulator.core),
};

/* The record. The oldest events are overwritten; a reader that is too slow loses them. */

static void record_locked(enum event_kind kind, u32 id, u32 value)
{
	emulator.events[emulator.count++ % EVENT_COUNT] = (struct event) {
		.kind = kind, .id = id, .value = value,
	};
	wake_up_all(&emulator.more);
}

static void record(enum event_kind kind, u32 id, u32 value)
{
	guard(spinlock_irqsave)(&emulator.lock);
	record_locked(kind, id, value);
}

/* Registers. */

static u32 *control_word(unsigned int offset)
{
	return offset < CONTROL_SIZE ? &emulator.control[offset / sizeof(u32)] : NULL;
}

static unsigned long control_read(void *priv, unsigned int offset, int size)
{
	u32 *word = control_word(offset);

	guard(spinlock_irqsave)(&emulator.lock);
	record_locked(EVENT_READ, offset, word ? *word : 0);
	return word ? *word : 0;
}

static void control_write(void *priv, unsigned int offset, int size, unsigned long value)
{
	u32 *word = control_word(offset);

	guard(spinlock_irqsave)(&emulator.lock);
	record_locked(EVENT_WRITE, offset, value);
	if (offset == XTENSA_INT)
		*word &= ~value;
	else if (word)
		*word = value;
}

static const struct logic_iomem_ops control_ops = {
	.read = control_read,
	.write = control_write,
};

static long control_map(unsigned long offset, size_t size,
			const struct logic_iomem_ops **ops, void **priv)
{
	*ops = &control_ops;
	return offset;
}

static const struct logic_iomem_region_ops control_region_ops = {
	.map = control_map,
};

/* The region has to be there before devices take parts of it. */
static int __init control_init(void)
{
	struct device_node *node __free(device_node) = of_find_node_by_path("/apu-emulator");
	u32 where[2];

	if (!node || of_property_read_u32_array(node, "registers", where, 2))
		return 0;
	emulator.registers = DEFINE_RES_MEM_NAMED(where[0], where[1], "apu-emulator");
	return logic_iomem_add_region(&emulator.registers, &control_region_ops);
}
postcore_initcall(control_init);

/* Interrupt: a line that is raised with XTENSA_INT. */

static int irq_map(struct irq_domain *domain, unsigned int irq, irq_hw_number_t hwirq)
{
	irq_set_chip_and_handler(irq, &dummy_irq_chip, handle_simple_irq);
	irq_set_noprobe(irq);
	return 0;
}

static const struct irq_domain_ops irq_ops = {
	.map = irq_map,
	.xlate = irq_domain_xlate_onecell,
};

static void raise_interrupt(u32 bits)
{
	scoped_guard(spinlock_irqsave, &emulator.lock)
		emulator.control[XTENSA_INT / sizeof(u32)] |= bits;
	generic_handle_domain_irq_safe(emulator.irqs, 0);
}

/* Clocks and power: nothing but the record. */

static int clock_enable(struct clk_hw *hw)
{
	record(EVENT_CLOCK, container_of(hw, struct clock, hw)->id, 1);
	return 0;
}

static void clock_disable(struct clk_hw *hw)
{
	record(EVENT_CLOCK, container_of(hw, struct clock, hw)->id, 0);
}

static const struct clk_ops clock_ops = {
	.enable = clock_enable,
	.disable = clock_disable,
};

static int clocks_register(struct device *dev)
{
	struct clk_hw_onecell_data *all;
	u32 i;

	all = devm_kzalloc(dev, struct_size(all, hws, CLOCK_COUNT), GFP_KERNEL);
	if (!all)
		return -ENOMEM;
	for (i = 0; i < CLOCK_COUNT; i++) {
		struct clock *clock = &emulator.clocks[i];
		struct clk_init_data init = { .ops = &clock_ops };
		int ret;

		init.name = devm_kasprintf(dev, GFP_KERNEL, "apu-emulator-%u", i);
		if (!init.name)
			return -ENOMEM;
		clock->id = i;
		clock->hw.init = &init;
		ret = devm_clk_hw_register(dev, &clock->hw);
		if (ret)
			return ret;
		all->hws[i] = &clock->hw;
	}
	all->num = CLOCK_COUNT;
	return devm_of_clk_add_hw_provider(dev, of_clk_hw_onecell_get, all);
}

static int power_on(struct generic_pm_domain *domain)
{
	record(EVENT_POWER, 0, 1);
	return 0;
}

static int power_off(struct generic_pm_domain *domain)
{
	record(EVENT_POWER, 0, 0);
	return 0;
}

/* IOMMU: page tables are arrays of page frame numbers with two bits of access. */

struct domain {
	struct iommu_domain domain;
	struct xarray pages;
};

static struct domain *to_domain(struct iommu_domain *domain)
{
	return container_of(domain, struct domain, domain);
}

static int domain_attach(struct iommu_domain *domain, struct device *dev,
			 struct iommu_domain *old)
{
	guard(mutex)(&emulator.core);
	emulator.domain = domain->type == IOMMU_DOMAIN_IDENTITY ? NULL : domain;
	if (emulator.core_file)
		unmap_mapping_range(emulator.core_file->f_mapping, 0, 0, 1);
	return 0;
}

static int domain_map(struct iommu_domain *domain, unsigned long iova, phys_addr_t memory,
		      size_t pgsize, size_t count, int prot, gfp_t gfp, size_t *mapped)
{
	size_t i;

	for (i = 0; i < count; i++) {
		unsigned long entry = (PHYS_PFN(memory) + i) << 2;
		int ret;

		entry |= prot & (IOMMU_READ | IOMMU_WRITE);
		ret = xa_insert(&to_domain(domain)->pages, PHYS_PFN(iova) + i,
				xa_mk_value(entry), gfp);
		if (ret)
			return ret;
		*mapped += pgsize;
	}
	return 0;
}

static size_t domain_unmap(struct iommu_domain *domain, unsigned long iova, size_t pgsize,
			   size_t count, struct iommu_iotlb_gather *gather)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (!xa_erase(&to_domain(domain)->pages, PHYS_PFN(iova) + i))
			break;
	guard(mutex)(&emulator.core);
	if (emulator.core_file && emulator.domain == domain)
		unmap_mapping_range(emulator.core_file->f_mapping, iova, i * pgsize, 1);
	return i * pgsize;
}

static unsigned long domain_entry(struct iommu_domain *domain, unsigned long iova)
{
	void *entry = xa_load(&to_domain(domain)->pages, PHYS_PFN(iova));

	return entry ? xa_to_value(entry) : 0;
}

static phys_addr_t domain_lookup(struct iommu_domain *domain, dma_addr_t iova)
{
	unsigned long entry = domain_entry(domain, iova);

	return entry ? PFN_PHYS(entry >> 2) + offset_in_page(iova) : 0;
}

static void domain_free(struct iommu_domain *domain)
{
	xa_destroy(&to_domain(domain)->pages);
	kfree(to_domain(domain));
}

static const struct iommu_domain_ops domain_ops = {
	.attach_dev = domain_attach,
	.map_pages = domain_map,
	.unmap_pages = domain_unmap,
	.iova_to_phys = domain_lookup,
	.free = domain_free,
};

static const struct iommu_domain_ops identity_ops = {
	.attach_dev = domain_attach,
};

static struct iommu_domain identity = {
	.type = IOMMU_DOMAIN_IDENTITY,
	.ops = &identity_ops,
};

static struct iommu_domain *domain_alloc(struct device *dev)
{
	struct domain *domain = kzalloc_obj(*domain);

	if (!domain)
		return NULL;
	xa_init(&domain->pages);
	domain->domain.pgsize_bitmap = PAGE_SIZE;
	domain->domain.geometry.aperture_end = DMA_BIT_MASK(32);
	domain->domain.geometry.force_aperture = true;
	return &domain->domain;
}

static struct iommu_device *master_probe(struct device *dev)
{
	emulator.master = dev;
	return &emulator.iommu;
}

static int master_xlate(struct device *dev, const struct of_phandle_args *args)
{
	return 0;
}

static int master_domain_type(struct device *dev)
{
	return IOMMU_DOMAIN_IDENTITY;
}

static const struct iommu_ops iommu_ops = {
	.identity_domain = &identity,
	.release_domain = &identity,
	.domain_alloc_paging = domain_alloc,
	.def_domain_type = master_domain_type,
	.probe_device = master_probe,
	.device_group = generic_device_group,
	.of_xlate = master_xlate,
	.default_domain_ops = &domain_ops,
	.owner = THIS_MODULE,
};

/* A fault of the core, wherever it comes from: remoteproc restarts the core. */
static void core_fault(unsigned long iova, int access)
{
	if (emulator.domain && !(*control_word(CORE_CTRL) & RUN_STALL))
		report_iommu_fault(emulator.domain, emulator.master, iova, access);
}

static vm_fault_t core_access(struct vm_fault *vmf, int access)
{
	unsigned long iova = vmf->pgoff << PAGE_SHIFT;
	unsigned long entry;

	guard(mutex)(&emulator.core);
	entry = emulator.domain ? domain_entry(emulator.domain, iova) : 0;
	if (!(entry & access)) {
		core_fault(iova, access == IOMMU_WRITE ? IOMMU_FAULT_WRITE : IOMMU_FAULT_READ);
		return VM_FAULT_SIGBUS;
	}
	if (access == IOMMU_WRITE)
		return 0;
	return vmf_insert_pfn(vmf->vma, vmf->address, entry >> 2);
}

static vm_fault_t core_vm_fault(struct vm_fault *vmf)
{
	return core_access(vmf, IOMMU_READ);
}

static vm_fault_t core_vm_mkwrite(struct vm_fault *vmf)
{
	return core_access(vmf, IOMMU_WRITE);
}

static const struct vm_operations_struct core_vm_ops = {
	.fault = core_vm_fault,
	.pfn_mkwrite = core_vm_mkwrite,
};

/* The node. */

static int node_open(struct inode *inode, struct file *file)
{
	if (!(file->f_mode & FMODE_WRITE))
		return 0;
	guard(mutex)(&emulator.core);
	if (emulator.core_file)
		return -EBUSY;
	emulator.core_file = file;
	return 0;
}

static int node_release(struct inode *inode, struct file *file)
{
	guard(mutex)(&emulator.core);
	if (emulator.core_file == file) {
		emulator.core_file = NULL;
		core_fault(0, IOMMU_FAULT_READ);
	}
	return 0;
}

static bool next_event(loff_t *position, struct event *event)
{
	guard(spinlock_irqsave)(&emulator.lock);
	if (*position >= emulator.count)
		return false;
	if (emulator.count - *position > EVENT_COUNT)
		*position = emulator.count - EVENT_COUNT;
	*event = emulator.events[(*position)++ % EVENT_COUNT];
	return true;
}

static ssize_t node_read(struct file *file, char __user *to, size_t size, loff_t *position)
{
	struct event event;

	if (size < sizeof(event))
		return -EINVAL;
	while (!next_event(position, &event)) {
		if (file->f_flags & O_NONBLOCK)
			return -EAGAIN;
		if (wait_event_interruptible(emulator.more,
					     READ_ONCE(emulator.count) > *position))
			return -ERESTARTSYS;
	}
	return copy_to_user(to, &event, sizeof(event)) ? -EFAULT : sizeof(event);
}

static ssize_t node_write(struct file *file, const char __user *from, size_t size,
			  loff_t *position)
{
	u32 bits;

	if (size != sizeof(bits))
		return -EINVAL;
	if (copy_from_user(&bits, from, sizeof(bits)))
		return -EFAULT;
	raise_interrupt(bits);
	return sizeof(bits);
}

static int node_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (emulator.core_file != file || !(vma->vm_flags & VM_SHARED))
		return -EACCES;
	vm_flags_set(vma, VM_PFNMAP | VM_IO | VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_ops = &core_vm_ops;
	return 0;
}

static const struct file_operations node_ops = {
	.owner = THIS_MODULE,
	.open = node_open,
	.release = node_release,
	.read = node_read,
	.write = node_write,
	.mmap = node_mmap,
	.llseek = noop_llseek,
};

static struct miscdevice node = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "apu-emulator",
	.mode = 0600,
	.fops = &node_ops,
};

static int emulator_probe(struct platform_device *pdev)
{
	struct device *dev = &pdev->dev;
	int ret;

	emulator.events = devm_kcalloc(dev, EVENT_COUNT, sizeof(struct event), GFP_KERNEL);
	if (!emulator.events)
		return -ENOMEM;
	emulator.irqs = irq_domain_create_linear(dev_fwnode(dev), 1, &irq_ops, NULL);
	if (!emulator.irqs)
		return -ENOMEM;
	ret = clocks_register(dev);
	if (ret)
		return ret;
	emulator.power.name = "apu-emulator";
	emulator.power.power_on = power_on;
	emulator.power.power_off = power_off;
	ret = pm_genpd_init(&emulator.power, NULL, true);
	if (ret)
		return ret;
	ret = of_genpd_add_provider_simple(dev->of_node, &emulator.power);
	if (ret)
		return ret;
	ret = iommu_device_sysfs_add(&emulator.iommu, dev, NULL, "apu-emulator");
	if (ret)
		return ret;
	ret = iommu_device_register(&emulator.iommu, &iommu_ops, dev);
	if (ret)
		return ret;
	return misc_register(&node);
}

/* It is there until the end: an IO memory region can't be taken back. */
static struct platform_driver emulator_driver = {
	.probe = emulator_probe,
	.driver = {
		.name = "apu-emulator",
		.suppress_bind_attrs = true,
	},
};
builtin_platform_driver(emulator_driver);
