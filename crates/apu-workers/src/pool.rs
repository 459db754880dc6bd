//! Threads that look at a board.

use crate::board::{Board, MAX_PARTS, Task};
use apu_firmware::Workers;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::{fmt, hint, io};

/// How often a thread looks for work before it sleeps: some hundred microseconds.
const LOOKS: usize = 1 << 12;

/// The thread that has work, and others that help it. They end when this is dropped.
pub struct Pool {
    shared: Arc<Shared>,
    helpers: Vec<JoinHandle<()>>,
}

struct Shared {
    board: Board,
    /// Which helpers have to be woken.
    asleep: Box<[AtomicBool]>,
    /// Whether the pool is no more.
    gone: AtomicBool,
}

impl Pool {
    /// As many threads as asked for, the one that calls among them; with 0 or 1 that is the only one.
    ///
    /// # Errors
    /// The system's, when there can't be so many.
    pub fn new(threads: usize) -> io::Result<Self> {
        let helpers = threads.clamp(1, MAX_PARTS) - 1;
        let mut pool = Self {
            shared: Arc::new(Shared {
                board: Board::new(),
                asleep: (0..helpers).map(|_| AtomicBool::new(false)).collect(),
                gone: AtomicBool::new(false),
            }),
            helpers: Vec::with_capacity(helpers),
        };
        for index in 0..helpers {
            let shared = Arc::clone(&pool.shared);
            let helper = thread::Builder::new().name(format!("worker {}", index + 1));
            pool.helpers.push(helper.spawn(move || shared.help(index))?);
        }
        Ok(pool)
    }

    fn wake(&self) {
        for (asleep, helper) in self.shared.asleep.iter().zip(&self.helpers) {
            // To look first spares the line, which they also look at, from going back and forth.
            if asleep.load(Ordering::SeqCst) && asleep.swap(false, Ordering::SeqCst) {
                helper.thread().unpark();
            }
        }
    }
}

impl Workers for Pool {
    fn count(&self) -> usize {
        self.helpers.len() + 1
    }

    fn each<T: Send>(&mut self, parts: &mut [T], work: impl Fn(&mut T) + Sync) {
        for parts in parts.chunks_mut(MAX_PARTS) {
            let count = parts.len();
            let batch = Batch {
                parts: parts.as_mut_ptr(),
                work: &work,
            };
            let (task, board) = (batch.task(), &self.shared.board);
            // SAFETY: `batch` lives until then; each index is that of a part which nobody else
            // refers to, of a type that may go to other threads, as may references to `work`.
            // `self` is borrowed mutably.
            unsafe {
                board.put_up(task, count, || self.wake());
            }
        }
    }
}

/// Parts and what is done with each.
struct Batch<'a, T, W> {
    parts: *mut T,
    work: &'a W,
}

impl<T, W: Fn(&mut T)> Batch<'_, T, W> {
    /// The task of doing them, for as long as this lives.
    fn task(&self) -> Task {
        Task {
            context: (&raw const *self).cast(),
            call: Self::call,
        }
    }

    /// # Safety
    /// `batch` is one of these, `index` that of one of its parts, to which nobody refers meanwhile.
    unsafe fn call(batch: *const (), index: usize) {
        // SAFETY: the caller's contract.
        let (batch, part) = unsafe {
            let batch = &*batch.cast::<Self>();
            (batch, &mut *batch.parts.add(index))
        };
        (batch.work)(part);
    }
}

impl Shared {
    fn help(&self, index: usize) {
        let mut looks = 0;
        while !self.gone.load(Ordering::Relaxed) {
            // The first part is that of the thread which has the work.
            if self.board.work(index + 1) {
                looks = 0;
            } else if looks < LOOKS {
                looks += 1;
                hint::spin_loop();
            } else {
                self.sleep(index);
                looks = 0;
            }
        }
    }

    /// Sleeps until there is work. Whoever puts some up looks who sleeps after that, and whoever goes
    /// to sleep looks for work after saying so: one of the two sees the other.
    fn sleep(&self, index: usize) {
        let Some(asleep) = self.asleep.get(index) else {
            return;
        };
        loop {
            asleep.store(true, Ordering::SeqCst);
            if self.board.has_work() || self.gone.load(Ordering::SeqCst) {
                break;
            }
            thread::park();
        }
        asleep.store(false, Ordering::SeqCst);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.gone.store(true, Ordering::SeqCst);
        for helper in self.helpers.drain(..) {
            helper.thread().unpark();
            // If it has panicked, whoever had the work has been told.
            let _ = helper.join();
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("threads", &self.count())
            .finish_non_exhaustive()
    }
}
