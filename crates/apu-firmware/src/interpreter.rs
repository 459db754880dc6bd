//! Runs programs: finds each operator's operands in the segments and calls its kernel.

use crate::operator::{MAX_READS, Operands, Operator};
use crate::pieces::Pieces;
use crate::{Alone, Error, Layout, OpError, Program, View, Workers};
use apu_kernels::Isa;
use apu_proto::program::Operand;
use core::mem::take;

/// Runs a program once over `segments`: constants, arena, inputs, outputs. In the arena it finds
/// the states that the last run left, zeros before the first; the rest needs no particular content. `cancelled` is asked before each operator: a flag, a clock.
///
/// # Errors
/// A segment that is missing, too small or read-only; [`Error::Cancelled`].
pub fn run(
    program: &Program<'_>,
    isa: Isa,
    segments: &mut [View<'_>],
    cancelled: impl Fn() -> bool,
) -> Result<(), Error> {
    check_segments(program.layout(), segments)?;
    for (index, operator) in program.operators().enumerate() {
        if cancelled() {
            return Err(Error::Cancelled { op: index });
        }
        run_operator(&operator?, index, isa, &mut Alone, segments)?;
    }
    Ok(())
}

/// Work between two times that [`run_operators`] asks whether to stop, by [`Operator::work`]: some
/// microseconds of the fastest kernels, milliseconds of the plain ones.
const WORK_BETWEEN_ASKING: u64 = 1 << 20;

/// As [`run`], of [`Program::operators`] that were kept, which spares checking them again, and on all
/// cores of `workers`. As they may be small, and reading a clock isn't nothing, `cancelled` is only
/// asked once in a while.
///
/// # Errors
/// As [`run`].
pub fn run_operators(
    layout: &Layout,
    operators: &[Operator],
    isa: Isa,
    workers: &mut impl Workers,
    segments: &mut [View<'_>],
    cancelled: impl Fn() -> bool,
) -> Result<(), Error> {
    check_segments(layout, segments)?;
    let mut work = 0;
    for (index, operator) in operators.iter().enumerate() {
        work += operator.work();
        if work >= WORK_BETWEEN_ASKING {
            if cancelled() {
                return Err(Error::Cancelled { op: index });
            }
            work = 0;
        }
        run_operator(operator, index, isa, workers, segments)?;
    }
    Ok(())
}

/// Runs one operator. The segments are those of its layout.
pub fn run_operator(
    operator: &Operator,
    index: usize,
    isa: Isa,
    workers: &mut impl Workers,
    segments: &mut [View<'_>],
) -> Result<(), Error> {
    with_operands(operator, segments, |operands| {
        operator.run(isa, workers, operands)
    })
    .map_err(|reason| Error::Op { index, reason })
}

/// Whether each segment is as large as the program says and can be written where it must.
pub fn check_segments(layout: &Layout, segments: &[View<'_>]) -> Result<(), Error> {
    let sizes = layout.segment_sizes();
    if segments.len() != sizes.len() {
        return Err(Error::SegmentCount {
            got: segments.len(),
            needed: sizes.len(),
        });
    }
    for (segment, (view, &needed)) in segments.iter().zip(sizes).enumerate() {
        let got = view.bytes().len();
        if got < needed {
            return Err(Error::SegmentSize {
                segment,
                got: got as u64,
                needed: needed as u64,
            });
        }
        if needed > 0 && layout.is_written(segment) && matches!(view, View::Read(_)) {
            return Err(Error::SegmentReadOnly { segment });
        }
    }
    Ok(())
}

/// Calls `work` with the memory of the operands. Segments that are written leave the table
/// meanwhile, so that what is read and what is written are borrowed apart.
fn with_operands<R>(
    operator: &Operator,
    segments: &mut [View<'_>],
    work: impl FnOnce(Operands<'_>) -> Result<R, OpError>,
) -> Result<R, OpError> {
    let (output, scratch) = (operator.output(), operator.scratch());
    let mut first = take_out(segments, output);
    let mut second = take_out(segments, scratch);
    let mut pieces = Pieces::default();
    pieces.add(output.segment, 0, first.bytes_mut());
    pieces.add(scratch.segment, 0, second.bytes_mut());
    let result = borrow(operator, segments, &mut pieces).and_then(work);
    // Of one segment, the second view is an empty one: the first comes back last.
    put_back(segments, scratch, second);
    put_back(segments, output, first);
    result
}

fn borrow<'a>(
    operator: &Operator,
    segments: &'a [View<'_>],
    pieces: &'a mut Pieces<'_>,
) -> Result<Operands<'a>, OpError> {
    let written = operator.reads().len();
    let output = pieces.cut(operator.output());
    let output = output.ok_or(missing(written, operator.output()))?;
    let scratch = pieces.cut(operator.scratch());
    let scratch = scratch.ok_or(missing(written + 1, operator.scratch()))?;
    let mut reads: [&[u8]; MAX_READS] = [&[]; MAX_READS];
    for (index, (read, &operand)) in reads.iter_mut().zip(operator.reads()).enumerate() {
        *read = pieces
            .find(operand)
            .or_else(|| find(segments, operand))
            .ok_or(missing(index, operand))?;
    }
    Ok(Operands {
        reads,
        output,
        scratch,
    })
}

fn find<'a>(segments: &'a [View<'_>], operand: Operand) -> Option<&'a [u8]> {
    let segment = segments.get(operand.segment as usize)?;
    let start = operand.offset as usize;
    let end = start.checked_add(operand.size as usize)?;
    segment.bytes().get(start..end)
}

/// An operator and the segments it is run on are of one layout, so this doesn't come.
fn missing(index: usize, operand: Operand) -> OpError {
    OpError::OperandBounds {
        operand: index,
        segment: operand.segment,
        end: u64::from(operand.offset) + u64::from(operand.size),
        limit: 0,
    }
}

fn take_out<'a>(segments: &mut [View<'a>], operand: Operand) -> View<'a> {
    match segments.get_mut(operand.segment as usize) {
        Some(segment) if operand.size > 0 => take(segment),
        _ => View::default(),
    }
}

fn put_back<'a>(segments: &mut [View<'a>], operand: Operand, view: View<'a>) {
    match segments.get_mut(operand.segment as usize) {
        Some(segment) if operand.size > 0 => *segment = view,
        _ => {}
    }
}
