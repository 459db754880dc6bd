//! What an operator keeps from run to run: in memory of the program, or with whoever runs it, who then
//! gives it as inputs and gets it back as outputs.

use std::ops::Range;

use apu_kernels::copy;
use apu_proto::program::opcode;

use super::{Operand, Record, lookup, record, size};
use crate::{
    constraints::{ARGUMENTS, Refusal, Site},
    graph::{Operator, TensorId},
};

/// The states of an operator in the order in which its kernel has them, one behind the other.
pub(super) struct States<'s> {
    site: &'s Site<'s>,
    states: Vec<State>,
    given: bool,
}

struct State {
    tensor: TensorId,
    /// Of int8 alone. Kernels keep what is less by that much, so that they begin with zeros.
    zero_point: i32,
    part: Range<u64>,
}

impl State {
    fn bytes(&self) -> u64 {
        self.part.end - self.part.start
    }
}

impl<'s> States<'s> {
    /// Those at some of the operator's inputs, with their zero points.
    pub fn new(site: &'s Site<'s>, at: &[(usize, i32)]) -> Result<Self, Refusal> {
        let mut end = 0;
        let states = at.iter().map(|&(input, zero_point)| {
            let start = end;
            end += site.need_input(input)?.bytes();
            Ok(State {
                tensor: site.input_id(input)?,
                zero_point,
                part: start..end,
            })
        });
        let states: Vec<State> = states.collect::<Result<_, _>>()?;
        only_user(site, &states)?;
        let given = |state: &&State| site.graph.inputs.contains(&state.tensor);
        let given = match states.iter().filter(given).count() {
            0 => false,
            all if all == states.len() => true,
            some => return Err(ARGUMENTS.refuse(format!("{some} given of the states"))),
        };
        Ok(Self {
            site,
            states,
            given,
        })
    }

    /// Where the kernel finds them.
    pub fn operand(&self) -> Result<Operand, Refusal> {
        let size = self.size();
        Ok(match self.given {
            true => Operand::Temporary { index: 0, size },
            false => Operand::State(super::size("bytes of states", size)?),
        })
    }

    /// What moves given states to where the kernel finds them.
    pub fn taken_in(&self) -> Result<Vec<Record>, Refusal> {
        let states = self.states.iter().filter(|_| self.given);
        let taken = states.map(|state| {
            let from = Operand::Read(state.tensor);
            moved(
                self.site,
                state.bytes(),
                from,
                self.within(state),
                -state.zero_point,
            )
        });
        taken.collect()
    }

    /// What moves them to where they are wanted back.
    pub fn handed_out(&self) -> Result<Vec<Record>, Refusal> {
        let outputs = self.site.graph.outputs.iter().enumerate();
        let wanted = outputs.filter_map(|(index, tensor)| {
            let mut states = self.states.iter().filter(|_| self.given);
            Some((index, states.find(|state| state.tensor == *tensor)?))
        });
        let handed = wanted.map(|(index, state)| {
            let to = Operand::Output(index);
            moved(
                self.site,
                state.bytes(),
                self.within(state),
                to,
                state.zero_point,
            )
        });
        handed.collect()
    }

    fn size(&self) -> u64 {
        self.states.last().map_or(0, |state| state.part.end)
    }

    fn within(&self, state: &State) -> Operand {
        Operand::Within {
            index: 0,
            size: self.size(),
            part: state.part.clone(),
        }
    }
}

/// A state that two operators share isn't kept for either.
fn only_user(site: &Site, states: &[State]) -> Result<(), Refusal> {
    let shares = |user: &&Operator| {
        let mut inputs = user.inputs.iter().flatten();
        let shared = inputs.any(|id| states.iter().any(|state| state.tensor == *id));
        shared && user.index != site.operator.index
    };
    match site.graph.operators.iter().find(shares) {
        Some(user) => Err(ARGUMENTS.refuse(format!("a state that operator {} shares", user.index))),
        None => Ok(()),
    }
}

/// Copies a state of so many bytes, and adds so much to each of them.
pub(super) fn moved(
    site: &Site,
    count: u64,
    from: Operand,
    to: Operand,
    added: i32,
) -> Result<Record, Refusal> {
    if added == 0 {
        let sizes = Ok(copy::sizes(size("bytes of a state", count)?));
        return record(site, opcode::COPY, &(), sizes, [from, to], 0);
    }
    let table = (0..=u8::MAX).map(|byte| byte.wrapping_add(added as u8));
    lookup::of_bytes(site, count, from, table.collect(), to)
}
