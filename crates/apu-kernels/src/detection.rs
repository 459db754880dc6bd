//! DETECTION: boxes decoded from anchors, and of those that overlap the best one kept, as the custom
//! operator TFLite_Detection_PostProcess does it.

use crate::{
    Error, Isa, Sizes,
    limits::{at_least, bytes, exactly, within},
};
use apu_proto::program;
use core::ops::Range;

/// Bytes of scratch a box: its corners, its score, its class, and its place in the order.
const SCRATCH: u32 = 16 + 4 + 4 + 4;
/// Most boxes: comparing each with each stays within seconds.
const MAX_BOXES: i64 = 1 << 15;

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct Detection {
    boxes: usize,
    /// Elements of one box's encoding, of which the first four count.
    encoding: usize,
    classes: usize,
    /// Scores before those of the first class: the background's.
    offset: usize,
    most: usize,
    /// 0 in the fast form.
    per_class: usize,
    score_threshold: f32,
    overlap_threshold: f32,
    scale: [f64; 4],
    sizes: Sizes,
}

impl Detection {
    fn new(p: &program::Detection) -> Result<Self, Error> {
        within("boxes", p.boxes, 1, MAX_BOXES)?;
        within("encoding", p.encoding, 4, 1 << 10)?;
        within("classes", p.classes, 1, 1 << 16)?;
        within("background", p.background, 0, 1)?;
        within("max_detections", p.max_detections, 1, MAX_BOXES)?;
        let columns = p.classes + p.background;
        let kept = p.per_class.min(p.boxes);
        let pairs = u64::from(p.boxes) * u64::from(kept) * u64::from(p.classes);
        within(
            "boxes · per_class · classes",
            pairs as i64,
            0,
            MAX_BOXES * MAX_BOXES,
        )?;
        Ok(Self {
            boxes: p.boxes as usize,
            encoding: p.encoding as usize,
            classes: p.classes as usize,
            offset: p.background as usize,
            most: p.max_detections as usize,
            per_class: kept as usize,
            score_threshold: f32::from_bits(p.score_threshold),
            overlap_threshold: f32::from_bits(p.overlap_threshold),
            scale: p.scale.map(|bits| f32::from_bits(bits).into()),
            sizes: Sizes::new([
                bytes("boxes", &[p.boxes, p.encoding, 4])?,
                bytes("scores", &[p.boxes, columns, 4])?,
                bytes("anchors", &[p.boxes, 4, 4])?,
                // Corners, class and score of each detection, and how many there are.
                bytes("output", &[p.max_detections, 6, 4])? + 4,
                bytes("scratch", &[p.boxes, SCRATCH])?,
            ]),
        })
    }

    /// Corners of a box: its encoding is centre and size in units of the anchor's.
    fn decode(&self, encoding: &[[u8; 4]], anchor: &[[u8; 4]]) -> [f32; 4] {
        let wide = |words: &[[u8; 4]], i: usize| f64::from(f32::from_le_bytes(words[i]));
        let centre = |i: usize| {
            let steps = wide(encoding, i) / self.scale[i];
            (steps * wide(anchor, i + 2) + wide(anchor, i)) as f32
        };
        let half = |i: usize| {
            let size = libm::exp(wide(encoding, i + 2) / self.scale[i + 2]);
            (0.5 * size * wide(anchor, i + 2)) as f32
        };
        let ([y, x], [h, w]) = ([centre(0), centre(1)], [half(0), half(1)]);
        [y - h, x - w, y + h, x + w]
    }
}

/// The first class with the best score, and that score.
fn best(scores: &[[u8; 4]]) -> (u32, f32) {
    let first = (0, f32::from_le_bytes(scores[0]));
    (1..)
        .zip(&scores[1..])
        .fold(first, |best, (class, &score)| {
            let score = f32::from_le_bytes(score);
            if score > best.1 { (class, score) } else { best }
        })
}

/// The scratch by what it holds, one entry a box.
struct Candidates<'a> {
    corners: &'a mut [[[u8; 4]; 4]],
    scores: &'a mut [[u8; 4]],
    classes: &'a mut [[u8; 4]],
    /// Boxes from the best to the worst.
    order: &'a mut [[u8; 4]],
}

impl<'a> Candidates<'a> {
    fn new(scratch: &'a mut [u8], boxes: usize) -> Self {
        let (corners, words) = scratch.as_chunks_mut::<4>().0.split_at_mut(4 * boxes);
        let (scores, words) = words.split_at_mut(boxes);
        let (classes, words) = words.split_at_mut(boxes);
        Self {
            corners: corners.as_chunks_mut().0,
            scores,
            classes,
            order: &mut words[..boxes],
        }
    }

    fn corners(&self, index: usize) -> [f32; 4] {
        self.corners[index].map(f32::from_le_bytes)
    }
}

/// The share of the area of two boxes that both have; 0 if either has none.
fn overlap(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |[y0, x0, y1, x1]: [f32; 4]| (y1 - y0) * (x1 - x0);
    let (a_area, b_area) = (area(a), area(b));
    if a_area <= 0.0 || b_area <= 0.0 {
        return 0.0;
    }
    let side = |low: usize| (a[low + 2].min(b[low + 2]) - a[low].max(b[low])).max(0.0);
    let common = side(0) * side(1);
    common / (a_area + b_area - common)
}

/// The output by what it holds, one entry a detection, and how many there are.
struct Detections<'a> {
    corners: &'a mut [[[u8; 4]; 4]],
    classes: &'a mut [[u8; 4]],
    scores: &'a mut [[u8; 4]],
    count: usize,
}

impl<'a> Detections<'a> {
    fn new(output: &'a mut [u8], most: usize) -> (Self, &'a mut [u8; 4]) {
        output.fill(0);
        let (corners, rest) = output.as_chunks_mut::<4>().0.split_at_mut(4 * most);
        let (classes, rest) = rest.split_at_mut(most);
        let (scores, count) = rest.split_at_mut(most);
        let made = Self {
            corners: corners.as_chunks_mut().0,
            classes,
            scores,
            count: 0,
        };
        (made, &mut count[0])
    }

    /// Puts a detection behind those that are as good, if there is a place for it.
    fn insert(&mut self, corners: [[u8; 4]; 4], class: u32, score: [u8; 4]) {
        let value = f32::from_le_bytes;
        let place = self.scores[..self.count].partition_point(|&s| value(s) >= value(score));
        if place == self.scores.len() {
            return;
        }
        self.count = (self.count + 1).min(self.scores.len());
        self.corners[place..self.count].rotate_right(1);
        self.classes[place..self.count].rotate_right(1);
        self.scores[place..self.count].rotate_right(1);
        self.corners[place] = corners;
        self.classes[place] = (class as f32).to_le_bytes();
        self.scores[place] = score;
    }
}

impl Detection {
    fn decode_all(&self, boxes: &[u8], anchors: &[u8], candidates: &mut Candidates) {
        let [boxes, anchors] = [boxes, anchors].map(|bytes| bytes.as_chunks::<4>().0);
        let encodings = boxes.chunks_exact(self.encoding);
        let pairs = encodings.zip(anchors.chunks_exact(4));
        for (corners, (encoding, anchor)) in candidates.corners.iter_mut().zip(pairs) {
            *corners = self.decode(encoding, anchor).map(f32::to_le_bytes);
        }
    }

    /// Gives each box a class and a score; returns how many are good enough, best first in the order.
    fn rate(
        &self,
        scores: &[u8],
        candidates: &mut Candidates,
        choose: impl Fn(&[[u8; 4]]) -> (u32, f32),
    ) -> usize {
        let ratings = scores.as_chunks::<4>().0;
        let mut good = 0;
        for (index, rating) in ratings.chunks_exact(self.offset + self.classes).enumerate() {
            let (class, score) = choose(&rating[self.offset..]);
            candidates.scores[index] = score.to_le_bytes();
            candidates.classes[index] = class.to_le_bytes();
            if score >= self.score_threshold {
                candidates.order[good] = (index as u32).to_le_bytes();
                good += 1;
            }
        }
        let score = |index: u32| f32::from_le_bytes(candidates.scores[index as usize]);
        candidates.order[..good].sort_unstable_by(|&a, &b| {
            let (a, b) = (u32::from_le_bytes(a), u32::from_le_bytes(b));
            score(b).total_cmp(&score(a)).then(a.cmp(&b))
        });
        good
    }

    /// Hands on the best boxes, each of which removes those that it overlaps too much.
    fn select(
        &self,
        candidates: &mut Candidates,
        good: usize,
        most: usize,
        detections: &mut Detections,
    ) {
        let mut selected = 0;
        for first in 0..good {
            let index = u32::from_le_bytes(candidates.order[first]) as usize;
            if index >= self.boxes {
                continue;
            }
            if selected == most {
                break;
            }
            let class = u32::from_le_bytes(candidates.classes[index]);
            detections.insert(candidates.corners[index], class, candidates.scores[index]);
            selected += 1;
            self.remove_overlapping(candidates, index, first + 1..good);
        }
    }

    /// A removed box has no index.
    fn remove_overlapping(&self, candidates: &mut Candidates, index: usize, of: Range<usize>) {
        let kept = candidates.corners(index);
        for place in of {
            let other = u32::from_le_bytes(candidates.order[place]) as usize;
            if other < self.boxes
                && overlap(kept, candidates.corners(other)) > self.overlap_threshold
            {
                candidates.order[place] = u32::MAX.to_le_bytes();
            }
        }
    }
}

/// The sizes of boxes, scores, anchors, output and scratch.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Detection) -> Result<Sizes, Error> {
    Ok(Detection::new(params)?.sizes)
}

/// Computes `output`, the corners, classes and scores of the detections and their number.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::Detection,
    reads: [&[u8]; 3],
    output: &mut [u8],
    scratch: &mut [u8],
) -> Result<(), Error> {
    let detection = Detection::new(params)?;
    let &[boxes, scores, anchors, output_size, scratch_size] = detection.sizes.as_slice() else {
        unreachable!("a detection has five operands");
    };
    exactly("boxes", reads[0], boxes)?;
    exactly("scores", reads[1], scores)?;
    exactly("anchors", reads[2], anchors)?;
    exactly("output", output, output_size)?;
    at_least("scratch", scratch, scratch_size)?;
    let mut candidates = Candidates::new(scratch, detection.boxes);
    let [boxes, scores, anchors] = reads;
    detection.decode_all(boxes, anchors, &mut candidates);
    let (mut detections, count) = Detections::new(output, detection.most);
    if detection.per_class == 0 {
        let good = detection.rate(scores, &mut candidates, best);
        detection.select(&mut candidates, good, detection.most, &mut detections);
    } else {
        for class in 0..detection.classes {
            let of_class = |scores: &[[u8; 4]]| (class as u32, f32::from_le_bytes(scores[class]));
            let good = detection.rate(scores, &mut candidates, of_class);
            detection.select(&mut candidates, good, detection.per_class, &mut detections);
        }
    }
    *count = (detections.count as f32).to_le_bytes();
    Ok(())
}
