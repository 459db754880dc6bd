//! The core's end of the two queues.

use super::chip::Chip;
use super::image::{Image, Ring};
use crate::Error;
use crate::rpmsg::{Endpoint, Sent};
use crate::wire::Wire;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Name of the channel.
const CHANNEL: &str = "apu";
/// This side's address, above those that rpmsg reserves.
const ADDRESS: u32 = 1024;
/// The bit of a device's status that says that its driver is ready.
const DRIVER_OK: u8 = 4;
/// The bit of the interrupt register that the firmware uses; the driver looks at both queues anyway.
const INTERRUPT: u32 = 1;

/// Both queues.
pub struct Link {
    chip: Arc<Chip>,
    memory: GuestMemoryMmap,
    image: Image,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Once the driver is ready.
    queues: Option<Queues>,
    endpoint: Endpoint,
    announced: bool,
    stopped: bool,
}

struct Queues {
    input: Queue,
    output: Queue,
}

impl Link {
    /// The queues of `image`, of which nothing has been used yet.
    pub fn new(chip: Arc<Chip>, memory: GuestMemoryMmap, image: Image) -> Self {
        Self {
            chip,
            memory,
            image,
            state: Mutex::new(State {
                queues: None,
                endpoint: Endpoint::new(ADDRESS),
                announced: false,
                stopped: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Looks at the queues again.
    pub fn wake(&self) {
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Ends all waiting.
    pub fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'s>(&self, state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the queues, once the driver has said where they are.
    fn set_up(&self, state: &mut State) -> Result<(), Error> {
        let ready = self.memory.read_obj::<u8>(self.image.status()).unwrap_or(0) & DRIVER_OK != 0;
        if state.queues.is_none() && ready {
            let [input, output] = self.image.rings(&self.memory)?;
            state.queues = Some(Queues {
                input: queue("input", &input)?,
                output: queue("output", &output)?,
            });
        }
        Ok(())
    }

    /// Announces the channel, unless that has been done.
    fn announce(&self, state: &mut State) -> Result<(), Error> {
        let (Some(queues), false) = (&mut state.queues, state.announced) else {
            return Ok(());
        };
        let sent = state
            .endpoint
            .announce(CHANNEL, &mut queues.input, &self.memory)?;
        state.announced = sent == Sent::Yes;
        match sent {
            Sent::Yes => self.chip.interrupt(INTERRUPT),
            Sent::Full => Ok(()),
        }
    }
}

impl Wire for Link {
    fn receive<'b>(&self, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Error> {
        let mut guard = self.lock();
        loop {
            let state = &mut *guard;
            if state.stopped {
                return Ok(None);
            }
            self.set_up(state)?;
            self.announce(state)?;
            if let Some(queues) = &mut state.queues {
                let taken = state
                    .endpoint
                    .receive(&mut queues.output, &self.memory, buffer)?;
                if let Some(length) = taken.map(<[u8]>::len) {
                    // The driver may wait for an empty buffer.
                    self.chip.interrupt(INTERRUPT)?;
                    return Ok(buffer.get(..length));
                }
            }
            guard = self.wait(guard);
        }
    }

    fn send(&self, message: &[u8]) -> Result<(), Error> {
        let mut guard = self.lock();
        loop {
            let state = &mut *guard;
            if state.stopped {
                return Err(Error::Gone);
            }
            if let Some(queues) = &mut state.queues {
                let sent = state
                    .endpoint
                    .send(message, &mut queues.input, &self.memory)?;
                if sent == Sent::Yes {
                    return self.chip.interrupt(INTERRUPT);
                }
            }
            guard = self.wait(guard);
        }
    }

    fn settle(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// A queue whose parts lie as those of remote processors do: one after the other.
fn queue(name: &'static str, ring: &Ring) -> Result<Queue, Error> {
    let broken = |reason| Error::Queue {
        queue: name,
        reason,
    };
    let size = u16::try_from(ring.buffers).unwrap_or(0);
    let (address, count) = (u64::from(ring.address), u64::from(size));
    let available = address + 16 * count;
    let used = (available + 6 + 2 * count).next_multiple_of(u64::from(ring.align.max(1)));
    let mut queue = Queue::new(size).map_err(broken)?;
    queue
        .try_set_desc_table_address(GuestAddress(address))
        .and_then(|()| queue.try_set_avail_ring_address(GuestAddress(available)))
        .and_then(|()| queue.try_set_used_ring_address(GuestAddress(used)))
        .map_err(broken)?;
    queue.set_ready(true);
    Ok(queue)
}
