//! Runs programs: finds each operator's operands in the segments and calls its kernel.

use crate::operator::Operator;
use crate::{Alone, Error, Layout, Program, View, Workers};
use apu_kernels::Isa;

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

/// Work between two times that [`run_operators`] asks whether to stop, by [`Operator::work`]: tens of
/// microseconds of the fastest kernels, milliseconds of the plain ones.
const WORK_BETWEEN_ASKING: u64 = 1 << 23;

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
    mut cancelled: impl FnMut() -> bool,
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
    operator
        .run(isa, workers, segments)
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
