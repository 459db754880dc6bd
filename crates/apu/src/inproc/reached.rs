//! The memory that a job reaches, which is found once as long as nothing changes.

use std::ptr::NonNull;
use std::slice;

use apu_firmware::memory::{MAX_RANGES, Ranges, RangesError, Reach};
use apu_firmware::{Error, Layout, View};
use apu_proto::message;

use super::space::Mappings;
use crate::{Job, Segment};

/// What a job reaches.
///
/// # Invariants
/// While the mappings that `new` was given have changed `changes` times, each part has `size` bytes, which
/// may be written if it says so; the addresses of those are no other part's.
#[derive(Debug)]
pub(super) struct Reached {
    job: Job,
    changes: u64,
    code: Part,
    segments: Vec<Part>,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    address: NonNull<u8>,
    size: usize,
    write: bool,
}

// SAFETY: the memory belongs to no thread; who may touch it when is the contract of `Queue::submit`.
unsafe impl Send for Reached {}

impl Reached {
    /// What `job` reaches, of a program of this layout.
    pub(super) fn new(mappings: &Mappings, layout: &Layout, job: &Job) -> Result<Self, Error> {
        let ranges = ranges(layout, job)?;
        let segments = ranges.as_slice().get(1..).unwrap_or_default();
        // INVARIANT: `find` gives that many bytes, and `Ranges` promises that they are alone.
        Ok(Self {
            job: job.clone(),
            changes: mappings.changes(),
            code: Part::find(mappings, &code_of(job))?,
            segments: segments
                .iter()
                .map(|reach| Part::find(mappings, reach))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Whether this is what `job` reaches by now.
    pub(super) fn is_of(&self, mappings: &Mappings, job: &Job) -> bool {
        self.changes == mappings.changes() && self.job == *job
    }

    /// The code of `job`, which `known` is of if there is one.
    ///
    /// # Safety
    /// While the code is borrowed, nobody writes it.
    pub(super) unsafe fn code<'a>(
        known: Option<&Self>,
        mappings: &'a Mappings,
        job: &Job,
    ) -> Result<&'a [u8], Error> {
        let code = match known {
            Some(known) => known.code,
            None => Part::find(mappings, &code_of(job))?,
        };
        // SAFETY: the part is of `mappings`, which are borrowed; the caller's contract.
        Ok(unsafe { slice::from_raw_parts(code.address.as_ptr(), code.size) })
    }

    /// Calls `work` with the memory of the job's segments.
    ///
    /// # Safety
    /// This is of these mappings by now. While `work` runs, nobody else writes the memory or reads what can
    /// be written, and that is mapped for the job only once.
    pub(super) unsafe fn with_views<R>(
        &self,
        _: &Mappings,
        work: impl FnOnce(&mut [View<'_>]) -> R,
    ) -> R {
        let mut views: [View<'_>; MAX_RANGES] = Default::default();
        for (view, part) in views.iter_mut().zip(&self.segments) {
            let address = part.address.as_ptr();
            *view = if part.write {
                // SAFETY: the invariants, and the caller's contract.
                View::Write(unsafe { slice::from_raw_parts_mut(address, part.size) })
            } else {
                // SAFETY: as above.
                View::Read(unsafe { slice::from_raw_parts(address, part.size) })
            };
        }
        let count = self.segments.len();
        work(views.get_mut(..count).unwrap_or_default())
    }
}

impl Part {
    fn find(mappings: &Mappings, reach: &Reach) -> Result<Self, Error> {
        let address = mappings
            .find(reach)
            .map_err(|fault| Error::Fault { op: None, fault })?;
        Ok(Self {
            address,
            size: reach.size as usize,
            write: reach.write,
        })
    }
}

fn code_of(job: &Job) -> Reach {
    Reach {
        va: job.program.va,
        size: job.program.size,
        write: false,
    }
}

/// What a job reaches: its code, then its segments.
fn ranges(layout: &Layout, job: &Job) -> Result<Ranges, Error> {
    let mut ranges = Ranges::new();
    let mut push = |segment: Segment, write| {
        ranges
            .push(
                message::Segment {
                    va: segment.va,
                    size: segment.size,
                },
                write,
            )
            .map_err(|error| refusal(error, layout, job))
    };
    push(job.program, false)?;
    for (index, &segment) in job.segments.iter().enumerate() {
        push(segment, layout.is_written(index))?;
    }
    Ok(ranges)
}

fn refusal(error: RangesError, layout: &Layout, job: &Job) -> Error {
    match error {
        RangesError::TooMany => Error::SegmentCount {
            got: job.segments.len(),
            needed: layout.segment_count(),
        },
        RangesError::Overflow(range) => Error::SegmentOverflow {
            segment: range.checked_sub(1),
        },
        RangesError::Overlap(first, second) => Error::SegmentOverlap {
            first: first.checked_sub(1),
            second: second.checked_sub(1),
        },
    }
}
