//! Changes of a VM that wait for others: the timeline of their ends, and what they give back.

use std::time::Duration;

use crate::backend::{Backend, Later, Point};
use crate::{Result, Segment};

/// They are done in order.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// None before the first one.
    timeline: Option<u32>,
    /// The last point that is signalled, or will be.
    last: u64,
    /// Addresses that nothing is bound at from a point on.
    leaving: Vec<(Point, Segment)>,
}

impl Changes {
    /// Queues what `queue` queues behind `waits`; returns the point of its end.
    pub(crate) fn queue(
        &mut self,
        backend: &dyn Backend,
        waits: &[Point],
        queue: impl FnOnce(Later<'_>) -> Result<()>,
    ) -> Result<Point> {
        let timeline = match self.timeline {
            Some(timeline) => timeline,
            None => *self.timeline.insert(backend.timeline_create()?),
        };
        let signal = Point {
            timeline,
            value: self.last + 1,
        };
        queue(Later { waits, signal })?;
        self.last = signal.value;
        Ok(signal)
    }

    /// Nothing will be bound at `range` from `point` on.
    pub(crate) fn leaves(&mut self, point: Point, range: Segment) {
        self.leaving.push((point, range));
    }

    pub(crate) fn is_leaving(&self, range: Segment) -> bool {
        self.leaving.iter().any(|(_, other)| *other == range)
    }

    /// Hands over the addresses that nothing is bound at by now.
    pub(crate) fn left(&mut self, backend: &dyn Backend) -> Vec<Segment> {
        let is_left = |point| backend.wait(point, Duration::ZERO).unwrap_or(false);
        let left = self.leaving.extract_if(.., |(point, _)| is_left(*point));
        left.map(|(_, range)| range).collect()
    }

    /// Nobody will wait any more.
    pub(crate) fn close(&mut self, backend: &dyn Backend) {
        if let Some(timeline) = self.timeline.take() {
            backend.timeline_destroy(timeline);
        }
    }
}
