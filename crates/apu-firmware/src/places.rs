//! Where an operator's operands are in the segments, found once: a run only cuts what is written out of its segments,
//! so that this and what is read are borrowed apart.

use crate::View;
use crate::operator::{MAX_READS, Operands};
use apu_proto::program::Operand;
use core::mem::take;
use core::ops::Range;

/// Where the operands of an operator are. Memory that has been cut out isn't part of any rest, so no
/// byte is reachable twice.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// What is cut out of each of two segments, or out of one twice: then the second is none, and
    /// its range begins behind the first.
    cuts: [Cut; 2],
    /// Whether the two cuts are of one segment.
    is_one_segment: bool,
    /// Whether the output is the second cut rather than the first.
    is_output_second: bool,
    reads: [Read; MAX_READS],
}

/// A range of a segment; that of no segment is empty.
#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    segment: Option<usize>,
    start: usize,
    size: usize,
}

impl Cut {
    fn of(operand: Operand) -> Self {
        if operand.size == 0 {
            return Self::default();
        }
        Self {
            segment: Some(operand.segment as usize),
            start: operand.offset as usize,
            size: operand.size as usize,
        }
    }

    fn end(&self) -> usize {
        self.start.saturating_add(self.size)
    }
}

/// A range of what an operand that is read lies in.
#[derive(Clone, Copy, Debug)]
struct Read {
    home: Home,
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug)]
enum Home {
    /// What is left of segments before the first cut, behind it, before the second one, behind it.
    Rest(usize),
    /// A segment that nothing is cut out of.
    Segment(usize),
}

impl Read {
    const NOTHING: Self = Self {
        home: Home::Rest(0),
        start: 0,
        end: 0,
    };
}

impl Places {
    /// Of operands that are read, and of two that are written and overlap no other one. Those of
    /// size 0 are nowhere.
    pub fn new(reads: &[Operand], output: Operand, scratch: Operand) -> Self {
        let (mut first, mut second) = (Cut::of(output), Cut::of(scratch));
        let is_one_segment = first.segment.is_some() && first.segment == second.segment;
        let is_output_second = is_one_segment && second.start < first.start;
        if is_output_second {
            (first, second) = (second, first);
        }
        let mut places = Self {
            cuts: [first, second],
            is_one_segment,
            is_output_second,
            reads: [Read::NOTHING; MAX_READS],
        };
        for (place, &operand) in places.reads.iter_mut().zip(reads) {
            if operand.size > 0 {
                *place = read(Cut::of(operand), &first, &second);
            }
        }
        if is_one_segment {
            let second = &mut places.cuts[1];
            second.segment = None;
            second.start = second.start.saturating_sub(first.end());
        }
        places
    }

    /// Calls `work` with the memory of the operands; none if it isn't there. Segments that are written
    /// leave the table meanwhile.
    pub fn borrow<R>(
        &self,
        segments: &mut [View<'_>],
        work: impl FnOnce(Operands<'_>) -> R,
    ) -> Option<R> {
        let mut views = [View::default(), View::default()];
        for (view, cut) in views.iter_mut().zip(&self.cuts) {
            if let Some(segment) = cut.segment.and_then(|index| segments.get_mut(index)) {
                *view = take(segment);
            }
        }
        let [first, second] = &mut views;
        let result = self.cut([first.bytes_mut(), second.bytes_mut()], segments);
        let result = result.map(work);
        for (view, cut) in views.into_iter().zip(&self.cuts) {
            if let Some(segment) = cut.segment.and_then(|index| segments.get_mut(index)) {
                *segment = view;
            }
        }
        result
    }

    fn cut<'a>(
        &self,
        [first, second]: [&'a mut [u8]; 2],
        segments: &'a [View<'_>],
    ) -> Option<Operands<'a>> {
        let (a, mut cut_a, mut b) = cut_out(first, self.cuts[0])?;
        let second = if self.is_one_segment {
            take(&mut b)
        } else {
            second
        };
        let (c, mut cut_b, d) = cut_out(second, self.cuts[1])?;
        if self.is_output_second {
            (cut_a, cut_b) = (cut_b, cut_a);
        }
        let rests: [&[u8]; 4] = [a, b, c, d];
        let mut reads: [&[u8]; MAX_READS] = [&[]; MAX_READS];
        for (read, place) in reads.iter_mut().zip(&self.reads) {
            let bytes = match place.home {
                Home::Rest(index) => *rests.get(index)?,
                Home::Segment(index) => segments.get(index)?.bytes(),
            };
            *read = bytes.get(place.start..place.end)?;
        }
        Some(Operands {
            reads,
            output: cut_a,
            scratch: cut_b,
        })
    }
}

/// What is before a cut, the cut, and what is behind it.
fn cut_out(bytes: &mut [u8], cut: Cut) -> Option<(&mut [u8], &mut [u8], &mut [u8])> {
    let (before, rest) = bytes.split_at_mut_checked(cut.start)?;
    let (cut, behind) = rest.split_at_mut_checked(cut.size)?;
    Some((before, cut, behind))
}

/// Where an operand is, of which no byte is in a cut.
fn read(operand: Cut, first: &Cut, second: &Cut) -> Read {
    let is_before = |cut: &Cut| operand.start < cut.start;
    let (home, start) = if operand.segment == second.segment {
        let is_one_segment = first.segment == second.segment;
        match (is_one_segment && is_before(first), is_before(second)) {
            (true, _) => (Home::Rest(0), 0),
            (_, true) if is_one_segment => (Home::Rest(2), first.end()),
            (_, true) => (Home::Rest(2), 0),
            _ => (Home::Rest(3), second.end()),
        }
    } else if operand.segment == first.segment {
        if is_before(first) {
            (Home::Rest(0), 0)
        } else {
            (Home::Rest(1), first.end())
        }
    } else {
        (Home::Segment(operand.segment.unwrap_or(usize::MAX)), 0)
    };
    let range = operand.start.saturating_sub(start)..operand.end().saturating_sub(start);
    let Range { start, end } = range;
    Read { home, start, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn operand(segment: u32, offset: u32, size: u32) -> Operand {
        Operand {
            segment,
            offset,
            size,
        }
    }

    const NONE: Operand = operand(0, 0, 0);

    /// What is read, written and scratch where each byte of each segment says where it is: 10 of
    /// segment 0, which is read only, then 10 of segment 1 and so on.
    fn found(
        reads: &[Operand],
        output: Operand,
        scratch: Operand,
    ) -> Option<[std::vec::Vec<u8>; 5]> {
        let mut bytes = [[0; 10]; 3];
        for (index, byte) in bytes.as_flattened_mut().iter_mut().enumerate() {
            *byte = index as u8;
        }
        let [constants, arena, result] = &mut bytes;
        let mut segments = [
            View::Read(constants),
            View::Write(arena),
            View::Write(result),
        ];
        let found = Places::new(reads, output, scratch).borrow(&mut segments, |operands| {
            let [a, b, c] = operands.reads.map(<[u8]>::to_vec);
            [a, b, c, operands.output.to_vec(), operands.scratch.to_vec()]
        });
        let sizes = segments.each_ref().map(|view| view.bytes().len());
        assert_eq!(sizes, [10; 3], "the segments are back");
        found
    }

    #[test]
    fn operands_of_one_segment_are_on_all_sides_of_what_is_written() {
        let reads = [operand(1, 0, 4), operand(1, 6, 1), operand(1, 9, 1)];
        let want = [&[10, 11, 12, 13][..], &[16], &[19], &[14, 15], &[17, 18]];
        let (low, high) = (operand(1, 4, 2), operand(1, 7, 2));
        assert_eq!(found(&reads, low, high).unwrap(), want);
        let want = [&[10, 11, 12, 13][..], &[16], &[19], &[17, 18], &[14, 15]];
        assert_eq!(found(&reads, high, low).unwrap(), want);
    }

    #[test]
    fn what_is_written_may_be_in_two_segments() {
        let reads = [operand(1, 8, 2), operand(2, 0, 1), operand(0, 3, 2)];
        let want = [&[18, 19][..], &[20], &[3, 4], &[21, 22], &[10, 11]];
        assert_eq!(
            found(&reads, operand(2, 1, 2), operand(1, 0, 2)).unwrap(),
            want
        );
        let reads = [operand(1, 0, 1), operand(2, 5, 1)];
        let want = [&[10][..], &[25], &[], &[24], &[15]];
        assert_eq!(
            found(&reads, operand(2, 4, 1), operand(1, 5, 1)).unwrap(),
            want
        );
    }

    #[test]
    fn operands_of_no_size_are_nowhere() {
        let reads = [operand(7, 7, 0), operand(1, 0, 1)];
        let want = [&[][..], &[10], &[], &[11], &[]];
        assert_eq!(found(&reads, operand(1, 1, 1), NONE).unwrap(), want);
        let want = [&[][..], &[10], &[], &[], &[12]];
        assert_eq!(found(&reads, NONE, operand(1, 2, 1)).unwrap(), want);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert!(found(&[operand(1, 9, 2)], operand(2, 0, 1), NONE).is_none());
        assert!(found(&[operand(3, 0, 1)], operand(2, 0, 1), NONE).is_none());
        assert!(found(&[], operand(1, 9, 2), NONE).is_none());
        assert!(found(&[], operand(0, 0, 1), NONE).is_none(), "read only");
    }
}
