//! What one more mapping costs in a VM that has many.

use anyhow::{Result, anyhow};
use apu_conformance::Bench;
use apu_conformance::bench::address;
use apu_conformance::uapi::{BIND_UNMAP, VmBind, VmBindOp};
use serde::Serialize;

use crate::turns::{median, microseconds};

const FEW: u64 = 100;
/// As many as a VM takes, with room for the one that is measured and the bench's own.
const MANY: u64 = 99_990;
const ROUNDS: usize = 15;
const COUNT: u32 = 50;

/// Medians.
#[derive(Serialize)]
pub struct Mappings {
    /// In the small VM.
    few: u64,
    /// In the large VM.
    many: u64,
    /// A bind and an unbind in the small one before there is a large one, in microseconds.
    alone_us: f64,
    /// The same beside the large one.
    few_us: f64,
    /// In the large one.
    many_us: f64,
    /// Of the two above.
    many_to_few: f64,
}

/// Measures a small VM and a large one in turns.
pub fn measure(small: &Bench, large: &Bench) -> Result<Mappings> {
    // The simulated device is a process, and has one mapping of its own for each.
    let _ = std::fs::write("/proc/sys/vm/max_map_count", "1000000");
    fill(small, FEW)?;
    let mut alone = Vec::new();
    for _ in 0..ROUNDS {
        alone.push(one_more(small)?);
    }
    fill(large, MANY)?;
    let (mut few, mut many, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (small, large) = (one_more(small)?, one_more(large)?);
        few.push(small);
        many.push(large);
        ratios.push(large / small);
    }
    // Hardware that was lost would have been fast.
    large.works(1)?;
    Ok(Mappings {
        few: FEW,
        many: MANY,
        alone_us: median(alone),
        few_us: median(few),
        many_us: median(many),
        many_to_few: median(ratios),
    })
}

/// Mapping `index`, of a page; between two of them one stays free, so that they don't become one.
fn op(bench: &Bench, index: u64) -> VmBindOp {
    VmBindOp {
        bo_handle: bench.bo.handle,
        va: bench.va.start + bench.bo.size + 2 * index * bench.page(),
        size: bench.page(),
        ..VmBindOp::default()
    }
}

fn fill(bench: &Bench, count: u64) -> Result<()> {
    let ops: Vec<VmBindOp> = (0..count).map(|index| op(bench, index)).collect();
    for ops in ops.chunks(bench.device.max_bind_ops as usize) {
        bind(bench, ops)?;
    }
    Ok(())
}

/// Microseconds of a bind and an unbind.
fn one_more(bench: &Bench) -> Result<f64> {
    microseconds(COUNT, || {
        (0..u64::from(COUNT)).try_for_each(|index| map_and_unmap(bench, MANY + 10 + index))
    })
}

fn map_and_unmap(bench: &Bench, index: u64) -> Result<()> {
    let map = op(bench, index);
    let unmap = VmBindOp {
        kind: BIND_UNMAP,
        bo_handle: 0,
        ..map
    };
    bind(bench, &[map])?;
    bind(bench, &[unmap])
}

fn bind(bench: &Bench, ops: &[VmBindOp]) -> Result<()> {
    let mut bind = VmBind {
        vm_id: bench.vm_id,
        op_count: ops.len() as u32,
        op_stride: size_of::<VmBindOp>() as u32,
        ops: address(ops),
        ..VmBind::default()
    };
    let called = bench.node.call(&mut bind);
    called.map_err(|errno| anyhow!("VM_BIND with {} operations: {errno:?}", ops.len()))
}
