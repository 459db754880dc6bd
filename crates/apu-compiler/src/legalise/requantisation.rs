//! QUANTIZE from bytes to bytes as LiteRT's optimised kernel has it, to which it goes where XNNPACK doesn't
//! take it: ties go up in whole blocks of sixteen elements, and away from zero in the few behind them.

use apu_kernels::requant::Rescale;

use super::{
    Operand, Record,
    lookup::{self, table},
    quantisation, ratio_out_of_range, sixteens,
};
use crate::{
    Numerics,
    constraints::{Refusal, Site},
    requantise::Multiplier,
};

/// Whether the operator goes to that kernel, if XNNPACK doesn't take it.
pub(super) fn is_optimised(site: &Site) -> bool {
    let byte = |tensor: &crate::graph::Tensor| tensor.element.range8().is_some();
    site.numerics == Numerics::Xnnpack
        && site.input(0).is_some_and(byte)
        && site.output().is_some_and(byte)
}

pub(super) fn quantize(site: &Site) -> Result<Vec<Record>, Refusal> {
    let (input, output) = (site.need_input(0)?, site.need_output()?);
    let ((from_scale, from_zero), (to_scale, to_zero)) =
        (quantisation(input)?, quantisation(output)?);
    let factor = Multiplier::new(f64::from(from_scale) / f64::from(to_scale));
    let factor = factor.ok_or_else(|| ratio_out_of_range(site))?;
    let rescale = Rescale::from_words(factor.multiplier, factor.shift);
    let range = output.element.range().unwrap_or_default();
    let away = |x: i32| rescale.apply(x - from_zero).saturating_add(to_zero);
    let up = |x: i32| rescale.apply_up(x - from_zero).saturating_add(to_zero);
    let looked_up = |function: &dyn Fn(i32) -> i32, to: Operand| {
        let table = table(input.element, range, function);
        let from = Operand::Read(site.input_id(0)?);
        lookup::of_bytes(site, input.count(), from, table, to)
    };
    // Without a shift to the right the two are one.
    if factor.shift >= 0 {
        return Ok(vec![looked_up(&away, Operand::Write(site.output_id()?))?]);
    }
    sixteens::blocks_and_rest(site, |to| looked_up(&up, to), |to| looked_up(&away, to))
}
