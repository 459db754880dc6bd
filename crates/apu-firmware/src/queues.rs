//! Queues that have failed: no job of theirs runs any more, though the host may have sent some before
//! it heard of the failure.

/// Names a queue of the host's, as long as the host doesn't reset the firmware.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    pub(crate) reset: u32,
    /// 0 if the host doesn't tell.
    pub(crate) number: u32,
}

/// The queues that the last `N` failed jobs of a core came from.
///
/// A failed job that the host has not heard of counts among those that the core has, so `N` is to be
/// their limit.
#[derive(Debug)]
pub struct FailedQueues<const N: usize> {
    last: [Queue; N],
    next: usize,
}

impl<const N: usize> FailedQueues<N> {
    /// None.
    pub const fn new() -> Self {
        const NONE: Queue = Queue {
            reset: 0,
            number: 0,
        };
        Self {
            last: [NONE; N],
            next: 0,
        }
    }

    /// Notes that a job has not ended well.
    pub fn note(&mut self, queue: Queue) {
        if let Some(place) = self.last.get_mut(self.next) {
            *place = queue;
            self.next = (self.next + 1) % N;
        }
    }

    /// Whether a job of the queue has not ended well.
    pub fn contains(&self, queue: Queue) -> bool {
        queue.number != 0 && self.last.contains(&queue)
    }
}

impl<const N: usize> Default for FailedQueues<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(reset: u32, number: u32) -> Queue {
        Queue { reset, number }
    }

    #[test]
    fn a_queue_has_failed_until_the_host_resets_the_firmware() {
        let mut failed = FailedQueues::<4>::new();
        failed.note(queue(1, 7));
        assert!(failed.contains(queue(1, 7)));
        assert!(!failed.contains(queue(1, 8)));
        assert!(!failed.contains(queue(2, 7)));
    }

    #[test]
    fn jobs_of_no_queue_never_stand_behind_one() {
        let mut failed = FailedQueues::<4>::new();
        failed.note(queue(0, 0));
        assert!(!failed.contains(queue(0, 0)));
    }

    #[test]
    fn the_last_failures_are_known() {
        let mut failed = FailedQueues::<4>::new();
        (1..=6).for_each(|number| failed.note(queue(1, number)));
        let known = |number| failed.contains(queue(1, number));
        assert!((3..=6).all(known) && !known(1) && !known(2));
    }
}
