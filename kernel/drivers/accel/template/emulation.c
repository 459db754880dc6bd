// SPDX-License-Identifier: GPL-2.0-only
/*
 * The imaginary accelerator of template.rs, in software, for User Mode Linux.
 *
 * It stands behind the device tree's node "template,vector-adder": registers
 * by logic_iomem, an interrupt domain of its own, and memory that it reaches
 * by the page table alone, entry by entry, as hardware would. What the
 * registers mean is said in template.rs.
 */

#include <linux/bits.h>
#include <linux/cleanup.h>
#include <linux/init.h>
#include <linux/io.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <linux/logic_iomem.h>
#include <linux/mm.h>
#include <linux/of.h>
#include <linux/of_address.h>
#include <linux/of_irq.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

enum {
	IDENTITY, CONTROL, STATUS, FAULT, TABLE_LOW, TABLE_HIGH, INVALIDATE,
	LEFT, RIGHT, SUM, COUNT, DELAY,
	REGISTERS
};

#define IDENTITY_VALUE	0x4c504d54	/* "TMPL" */
#define CONTROL_START	BIT(0)
#define CONTROL_STOP	BIT(1)
#define STATUS_DONE	BIT(0)
#define STATUS_FAULT	BIT(1)
#define STATUS_STOPPED	BIT(2)

#define PTE_VALID	BIT_ULL(0)
#define PTE_WRITABLE	BIT_ULL(1)
#define ENTRIES		(PAGE_SIZE / sizeof(u64))

static void run(struct work_struct *work);

static struct {
	spinlock_t lock;	/* guards all of this; held as long as memory is reached */
	u32 registers[REGISTERS];
	bool running;
	bool stopping;
	struct delayed_work work;
	struct resource resource;
	struct irq_domain *irqs;
} device = {
	.lock = __SPIN_LOCK_UNLOCKED(device.lock),
	.registers[IDENTITY] = IDENTITY_VALUE,
	.work = __DELAYED_WORK_INITIALIZER(device.work, run, 0),
};

/* Walks the page table. NULL, and the address in FAULT, when nothing is there. */
static s32 *element(u32 vector, u32 index, u64 needed)
{
	u64 root = device.registers[TABLE_LOW] | (u64)device.registers[TABLE_HIGH] << 32;
	u64 va = (u64)device.registers[vector] + (u64)index * sizeof(s32);
	u64 pte = 0;

	if (va / PAGE_SIZE < ENTRIES)
		pte = READ_ONCE(((u64 *)phys_to_virt(root))[va / PAGE_SIZE]);
	if ((pte & needed) != needed || va % sizeof(s32)) {
		device.registers[FAULT] = va;
		return NULL;
	}
	return phys_to_virt((pte & PAGE_MASK) + va % PAGE_SIZE);
}

static u32 add_vectors(void)
{
	u32 index;

	for (index = 0; index < device.registers[COUNT]; index++) {
		s32 *left = element(LEFT, index, PTE_VALID);
		s32 *right = left ? element(RIGHT, index, PTE_VALID) : NULL;
		s32 *sum = right ? element(SUM, index, PTE_VALID | PTE_WRITABLE) : NULL;

		if (!sum)
			return STATUS_FAULT;
		*sum = (u32)*left + (u32)*right;
	}
	return STATUS_DONE;
}

/* The job's time has come, or it was stopped. */
static void run(struct work_struct *work)
{
	scoped_guard(spinlock_irqsave, &device.lock) {
		if (!device.running)
			return;
		device.registers[STATUS] |= device.stopping ? STATUS_STOPPED : add_vectors();
		device.running = false;
		device.stopping = false;
	}
	generic_handle_domain_irq_safe(device.irqs, 0);
}

static void control(u32 value)
{
	if (value & CONTROL_START && !device.running) {
		device.running = true;
		queue_delayed_work(system_dfl_wq, &device.work,
				   usecs_to_jiffies(device.registers[DELAY]));
	}
	if (value & CONTROL_STOP && device.running) {
		device.stopping = true;
		mod_delayed_work(system_dfl_wq, &device.work, 0);
	}
}

static unsigned long registers_read(void *priv, unsigned int offset, int size)
{
	guard(spinlock_irqsave)(&device.lock);
	return offset / sizeof(u32) < REGISTERS ? device.registers[offset / sizeof(u32)] : 0;
}

/* Memory is reached under the lock, so there is nothing to do for INVALIDATE. */
static void registers_write(void *priv, unsigned int offset, int size, unsigned long value)
{
	unsigned int number = offset / sizeof(u32);

	guard(spinlock_irqsave)(&device.lock);
	if (number == CONTROL)
		control(value);
	else if (number == STATUS)
		device.registers[STATUS] &= ~value;
	else if (number > FAULT && number < REGISTERS)
		device.registers[number] = value;
}

static const struct logic_iomem_ops registers_ops = {
	.read = registers_read,
	.write = registers_write,
};

static long registers_map(unsigned long offset, size_t size,
			  const struct logic_iomem_ops **ops, void **priv)
{
	*ops = &registers_ops;
	return offset;
}

static const struct logic_iomem_region_ops region_ops = {
	.map = registers_map,
};

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

/* Before the platform devices of the device tree are made. */
static int __init emulation_init(void)
{
	struct device_node *node __free(device_node) =
		of_find_compatible_node(NULL, NULL, "template,vector-adder");
	struct device_node *irqs __free(device_node) = NULL;
	int ret;

	if (!node)
		return 0;
	irqs = of_irq_find_parent(node);
	if (!irqs)
		return -EINVAL;
	ret = of_address_to_resource(node, 0, &device.resource);
	if (ret)
		return ret;
	device.irqs = irq_domain_create_linear(of_fwnode_handle(irqs), 1, &irq_ops, NULL);
	if (!device.irqs)
		return -ENOMEM;
	return logic_iomem_add_region(&device.resource, &region_ops);
}
arch_initcall(emulation_init);
