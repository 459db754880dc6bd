// SPDX-License-Identifier: GPL-2.0

#include <linux/dma-buf.h>
#include <linux/scatterlist.h>

__rust_helper void rust_helper_get_dma_buf(struct dma_buf *dmabuf)
{
	get_dma_buf(dmabuf);
}

__rust_helper struct page *rust_helper_sg_page(struct scatterlist *sg)
{
	return sg_page(sg);
}
