//! READ_VARIABLE and ASSIGN_VARIABLE: copies from and to memory that is kept from run to run.

use super::{Operand, Record, states::moved};
use crate::{
    constraints::{ARGUMENTS, Refusal, Site},
    graph::Options,
};

pub(super) fn read(site: &Site) -> Result<Record, Refusal> {
    let to = Operand::Write(site.output_id()?);
    move_variable(site, |variable| (variable, to), 1)
}

pub(super) fn assign(site: &Site) -> Result<Record, Refusal> {
    let from = Operand::Read(site.input_id(1)?);
    move_variable(site, |variable| (from, variable), -1)
}

/// Copies all of a variable, and adds what each of its bytes is at first, so many times: memory begins
/// with zeros.
fn move_variable(
    site: &Site,
    ends: impl FnOnce(Operand) -> (Operand, Operand),
    times: i32,
) -> Result<Record, Refusal> {
    let Options::Variable { initial } = site.operator.options else {
        return Err(ARGUMENTS.refuse("no variable"));
    };
    let size = site.need_input(0)?.bytes();
    let (from, to) = ends(Operand::Variable {
        tensor: site.input_id(0)?,
        size,
    });
    moved(site, size, from, to, times * i32::from(initial))
}
