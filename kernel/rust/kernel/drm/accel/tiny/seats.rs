// SPDX-License-Identifier: GPL-2.0

//! The jobs that a core has: the one that runs, and those that the device keeps waiting behind it.
//!
//! Which one runs is the device's to say, by heartbeats. Until it does, that is taken to be the
//! most urgent one, as the device is to choose.
//!
//! Jobs of a queue end in order, whatever the device says: one that has ended keeps its seat until
//! those before it have.

use super::{
    device::Engine,
    dump::Seat,
    job::{
        JobId,
        Running, //
    },
    queue::Queue,
    Driver,
    Outcome, //
};
use crate::{
    prelude::*,
    sync::Arc,
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
};
use core::{
    cmp::Reverse,
    mem,
    ptr, //
};

/// The jobs of one core.
pub(super) struct Seats<D: Driver> {
    /// With room for all that there can be: nothing is allocated in the fence signalling path.
    jobs: KVec<Running<D>>,
    /// The job that runs.
    current: Option<JobId>,
    /// When the last job ended here, or one came while there was none.
    since: Instant<Monotonic>,
}

impl<D: Driver> Seats<D> {
    /// None, with room for `places`.
    pub(super) fn new(places: usize) -> Result<Self> {
        Ok(Self {
            jobs: KVec::with_capacity(places, GFP_KERNEL)?,
            current: None,
            since: Instant::now(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Running<D>> {
        self.jobs.iter_mut()
    }

    /// Gives a job to the core. There must be room for it.
    pub(super) fn enter(&mut self, running: Running<D>) -> Result {
        if self.current.is_none() {
            self.since = Instant::now();
        }
        if !running.has_ended() {
            self.current.get_or_insert(running.id);
        }
        self.jobs.push_within_capacity(running).map_err(|_| ENOSPC)
    }

    /// Where a job is that has not ended.
    fn position(&self, id: JobId) -> Option<usize> {
        let mut jobs = self.jobs.iter();
        jobs.position(|running| running.id == id && !running.has_ended())
    }

    /// Keeps how a job ended, and counts its time: as long as the device says, if it says. Returns
    /// its queue, or None if there is no such job or it has ended before.
    pub(super) fn end(
        &mut self,
        id: JobId,
        outcome: Outcome,
        took: Delta,
    ) -> Option<Arc<Queue<D>>> {
        let index = self.position(id)?;
        let running = self.jobs.get(index)?;
        let took = if took.is_zero() {
            self.elapsed(running)
        } else {
            took.min(running.entered.elapsed())
        };
        let running = self.jobs.get_mut(index)?;
        running.usage().add_busy(nanoseconds(took));
        running.end(outcome);
        let queue = running.queue().clone();
        self.since = Instant::now();
        if self.current == Some(id) {
            self.current = self.next();
        }
        Some(queue)
    }

    /// The same for the job that runs.
    pub(super) fn end_current(&mut self, outcome: Outcome) -> Option<Arc<Queue<D>>> {
        self.end(self.current?, outcome, Delta::ZERO)
    }

    /// The jobs of a queue, with their places.
    fn jobs_of<'a>(&'a self, queue: &'a Queue<D>) -> impl Iterator<Item = (usize, &'a Running<D>)> {
        let jobs = self.jobs.iter().enumerate();
        jobs.filter(move |(_, running)| ptr::eq(&**running.queue(), queue))
    }

    pub(super) fn has_jobs_of(&self, queue: &Queue<D>) -> bool {
        self.jobs_of(queue).next().is_some()
    }

    /// Takes the first job of a queue off the core, if that has ended.
    pub(super) fn leave_first(&mut self, queue: &Queue<D>) -> Option<Running<D>> {
        let first = self.jobs_of(queue).min_by_key(|(_, running)| running.turn);
        let (index, _) = first.filter(|(_, running)| running.has_ended())?;
        let last = self.jobs.pop()?;
        match self.jobs.get_mut(index) {
            None => Some(last),
            Some(place) => Some(mem::replace(place, last)),
        }
    }

    /// The job that the device runs next.
    fn next(&self) -> Option<JobId> {
        let jobs = self.jobs.iter().filter(|running| !running.has_ended());
        let first = jobs.min_by_key(|running| (Reverse(running.urgency()), running.turn));
        first.map(|running| running.id)
    }

    /// The job that runs.
    pub(super) fn current(&self) -> Option<&Running<D>> {
        self.jobs.get(self.position(self.current?)?)
    }

    pub(super) fn current_mut(&mut self) -> Option<&mut Running<D>> {
        let index = self.position(self.current?)?;
        self.jobs.get_mut(index)
    }

    /// What a core dump says of the job that runs.
    pub(super) fn current_seat(&self) -> Option<Seat> {
        let running = self.current()?;
        Some(running.seat(self.elapsed(running), self.len() - 1))
    }

    /// The device says which one runs, and how far it is.
    pub(super) fn heartbeat(&mut self, id: JobId, progress: u64) {
        if self.position(id).is_some() {
            self.current = Some(id);
        }
        if let Some(running) = self.current_mut().filter(|running| running.id == id) {
            running.goes_on(progress);
        }
    }

    /// When a job of this core began, if it is the one that runs.
    pub(super) fn began(&self, running: &Running<D>) -> Option<Instant<Monotonic>> {
        if self.current != Some(running.id) {
            return None;
        }
        let later = running.entered.as_nanos() > self.since.as_nanos();
        Some(if later { running.entered } else { self.since })
    }

    /// How long a job of this core has been running.
    pub(super) fn elapsed(&self, running: &Running<D>) -> Delta {
        self.began(running)
            .map_or(Delta::ZERO, |began| began.elapsed())
    }

    /// The job that runs, if it is out of time.
    pub(super) fn overdue(&mut self) -> Option<&mut Running<D>> {
        let began = self.began(self.current()?)?;
        self.current_mut()
            .filter(|running| !running.has_time(began))
    }
}

/// A length of time as what is counted.
pub(super) fn nanoseconds(time: Delta) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(0)
}

impl<D: Driver> Engine<D> {
    /// The core that has a job, with its number.
    pub(super) fn core_of(&mut self, id: JobId) -> Option<(usize, &mut Seats<D>)> {
        let mut cores = self.cores.iter_mut().enumerate();
        cores.find(|(_, seats)| seats.position(id).is_some())
    }

    /// All jobs that cores have.
    pub(super) fn running(&mut self) -> impl Iterator<Item = &mut Running<D>> {
        self.cores.iter_mut().flat_map(Seats::iter_mut)
    }

    /// All jobs that the device has will end so, unless they are lost already.
    pub(super) fn lose_all(&mut self, outcome: Outcome) {
        for running in self.running() {
            running.lost.get_or_insert(outcome);
        }
    }

    /// Ends a job that is lost. Returns its core and queue.
    pub(super) fn end_lost(&mut self) -> Option<(usize, Arc<Queue<D>>)> {
        let mut cores = self.cores.iter_mut().enumerate();
        cores.find_map(|(core, seats)| {
            let mut jobs = seats.jobs.iter().filter(|running| !running.has_ended());
            let (id, outcome) = jobs.find_map(|running| Some((running.id, running.lost?)))?;
            Some((core, seats.end(id, outcome, Delta::ZERO)?))
        })
    }
}
