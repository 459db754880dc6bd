//! A job: one run of a program in an address space of the device.

use crate::frame::Frame;
use crate::interpreter::{check_segments, run_operator};
use crate::memory::{AddressFault, AddressSpace, Ranges, RangesError};
use crate::{Error, Layout, Program, Queue, View, Workers};
use apu_kernels::Isa;
use apu_proto::message::{Done, MAX_SEGMENTS, NO_OP, Run, Segment, status};
use core::ops::Range;

/// A job that the server has accepted, for the core that it names.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    run: Run,
    queue: Queue,
    slot: usize,
}

impl Job {
    /// `reset` counts the greetings of the host.
    pub(crate) fn new(run: Run, reset: u32, slot: usize) -> Self {
        let queue = Queue {
            reset,
            number: run.queue,
        };
        Self { run, queue, slot }
    }

    /// Number that the host gave it.
    pub fn id(&self) -> u64 {
        self.run.job
    }

    /// Core to run it on.
    pub fn core(&self) -> usize {
        self.run.core as usize
    }

    /// How urgent it is: a higher number goes before a lower one.
    pub fn priority(&self) -> u16 {
        self.run.priority
    }

    /// How many cores may work on it together, at least 1.
    pub fn max_cores(&self) -> usize {
        usize::from(self.run.max_cores).max(1)
    }

    /// The queue that it comes from.
    pub fn queue(&self) -> Queue {
        self.queue
    }

    /// Its address space.
    pub fn vm(&self) -> u32 {
        self.run.vm
    }

    /// Its slot in the server's [`Slots`](crate::Slots).
    pub fn slot(&self) -> usize {
        self.slot
    }

    /// Runs it on the cores of `workers`. Memory is borrowed for one operator at a time, so that another thread can unmap
    /// some in between; `cancelled` is asked then, too.
    ///
    /// # Errors
    /// Anything in [`Error`].
    pub fn run(
        &self,
        space: &impl AddressSpace,
        isa: Isa,
        workers: &mut impl Workers,
        cancelled: impl Fn() -> bool,
    ) -> Result<(), Error> {
        let layout = self.validate(space)?;
        let ranges = self.ranges(&layout)?;
        for index in 0..layout.op_count() {
            if cancelled() {
                return Err(Error::Cancelled { op: index });
            }
            space
                .reach(&ranges, |views| {
                    run_one(&layout, views, index, isa, workers)
                })
                .map_err(fault_at(Some(index)))??;
        }
        Ok(())
    }

    /// The message that tells the host how it ended, when in nanoseconds of the device's clock, and
    /// how many cycles it took, 0 if nobody counts.
    pub fn done(&self, result: &Result<(), Error>, time: Range<u64>, cycles: u64) -> Frame {
        let error = result.as_ref().err();
        Frame::new(&Done {
            job: self.run.job,
            status: error.map_or(status::OK, Error::status),
            detail: error.map_or(0, Error::reject),
            op: error.map_or(NO_OP, Error::op),
            pad: 0,
            address: error.map_or(0, Error::address),
            start_ns: time.start,
            end_ns: time.end,
            cycles,
        })
    }

    /// The message that tells the host that it wasn't run, as one before it of its queue has failed.
    pub fn not_run(&self) -> Frame {
        refusal(self.run.job, status::CANCELLED, 0)
    }

    /// The message that tells the host that the address space can't be reached.
    pub fn without_vm(&self) -> Frame {
        refusal(self.run.job, status::BAD_HANDLE, 0)
    }

    /// Checks the whole program before any of it runs.
    fn validate(&self, space: &impl AddressSpace) -> Result<Layout, Error> {
        let mut code = Ranges::new();
        code.push(self.run.program, false).map_err(ranges_error)?;
        space
            .reach(&code, |views| {
                let code = views.first().map(View::bytes).unwrap_or_default();
                Program::validate(code).map(|program| *program.layout())
            })
            .map_err(fault_at(None))?
    }

    /// The code and each segment.
    fn ranges(&self, layout: &Layout) -> Result<Ranges, Error> {
        let mut ranges = Ranges::new();
        ranges.push(self.run.program, false).map_err(ranges_error)?;
        for (index, segment) in self.segments().iter().enumerate() {
            let write = layout.is_written(index);
            ranges.push(*segment, write).map_err(ranges_error)?;
        }
        Ok(ranges)
    }

    fn segments(&self) -> &[Segment] {
        let count = usize::from(self.run.segment_count);
        self.run.segments.get(..count).unwrap_or_default()
    }
}

/// Runs operator `index`; `views` are the code and each segment.
fn run_one(
    layout: &Layout,
    views: &mut [View<'_>],
    index: usize,
    isa: Isa,
    workers: &mut impl Workers,
) -> Result<(), Error> {
    let [code, segments @ ..] = views else {
        return check_segments(layout, &[]);
    };
    check_segments(layout, segments)?;
    let operator = layout.operator(code.bytes(), index)?;
    run_operator(&operator, index, isa, workers, segments)
}

/// The answer to a job that never began.
pub(crate) fn refusal(job: u64, status: u32, detail: u32) -> Frame {
    Frame::new(&Done {
        job,
        status,
        detail,
        op: NO_OP,
        pad: 0,
        address: 0,
        start_ns: 0,
        end_ns: 0,
        cycles: 0,
    })
}

fn fault_at(op: Option<usize>) -> impl Fn(AddressFault) -> Error {
    move |fault| Error::Fault { op, fault }
}

/// Range 0 is the code, range i + 1 is segment i.
fn ranges_error(error: RangesError) -> Error {
    let segment = |range: usize| range.checked_sub(1);
    match error {
        RangesError::TooMany => Error::Limit {
            field: "segment_count",
            got: MAX_SEGMENTS as u64 + 1,
            limit: MAX_SEGMENTS as u64,
        },
        RangesError::Overflow(range) => Error::SegmentOverflow {
            segment: segment(range),
        },
        RangesError::Overlap(first, second) => Error::SegmentOverlap {
            first: segment(first),
            second: segment(second),
        },
    }
}
