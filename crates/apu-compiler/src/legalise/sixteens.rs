//! What LiteRT's optimised kernels compute in one way in whole blocks of sixteen elements, and in another in the few
//! behind them.

use super::{
    Operand, Record, size,
    strided::{Side, Transfer, Walk, copy},
};
use crate::constraints::{Refusal, Site};

/// Elements that the optimised kernels take at once.
const BLOCK: u64 = 16;

/// The output, of which `blocks` computes whole blocks and `rest` what is behind them. Each is a record for all of an
/// output: where there are elements of both kinds it makes one of its own, and these are put together.
pub(super) fn blocks_and_rest(
    site: &Site,
    blocks: impl FnOnce(Operand) -> Result<Record, Refusal>,
    rest: impl FnOnce(Operand) -> Result<Record, Refusal>,
) -> Result<Vec<Record>, Refusal> {
    let output = site.need_output()?;
    let count = output.count();
    let end = count / BLOCK * BLOCK;
    if end == 0 {
        return Ok(vec![rest(Operand::Write(site.output_id()?))?]);
    }
    if end == count {
        return Ok(vec![blocks(Operand::Write(site.output_id()?))?]);
    }
    let either = |index| Operand::Temporary {
        index,
        size: output.bytes(),
    };
    let mut records = vec![blocks(either(0))?, rest(either(1))?];
    for (index, (start, end)) in [(0, end), (end, count)].into_iter().enumerate() {
        let walk = Walk {
            start: size("elements", start)?,
            stride: vec![1],
        };
        let from = Side {
            operand: either(index),
            count,
        };
        let moved = Transfer {
            shape: vec![size("elements", end - start)?],
            input: walk.clone(),
            output: walk,
        };
        records.push(copy(site, output, from, Side::output(site, 0)?, moved)?);
    }
    Ok(records)
}
