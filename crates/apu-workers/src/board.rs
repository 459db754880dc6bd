//! Where a task is put up, and its parts are taken.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::{hint, thread};

/// Most parts of a task.
pub const MAX_PARTS: usize = 16;
/// The bits of [`Board::taken`] that stand for parts.
const PARTS: u64 = (1 << MAX_PARTS) - 1;
/// How often to look before the processor is offered to others.
const LOOKS: usize = 1 << 10;

/// What is to be done: a call for each part.
#[derive(Clone, Copy)]
pub struct Task {
    /// What `call` wants to be called with.
    pub context: *const (),
    /// Does a part.
    pub call: unsafe fn(*const (), usize),
}

/// One task at a time.
///
/// # Invariants
/// `task` is written only while all parts are taken and `left` is 0, that is while nobody reads it.
/// Whoever takes a part is the only one who does, and `left` counts it until it has been done. The first
/// part is that of the thread which has put the task up.
pub struct Board {
    /// One bit for each part that can't be taken, and above those the number of the task: a look at
    /// an earlier task never takes a part of a later one.
    taken: AtomicU64,
    /// Parts that haven't been done, without the first.
    left: AtomicUsize,
    task: UnsafeCell<Task>,
    /// Whether doing a part has panicked.
    panicked: AtomicBool,
}

// SAFETY: the invariants say who may touch `task` when; `put_up` asks for a task that other threads
// may do.
unsafe impl Sync for Board {}
// SAFETY: as above.
unsafe impl Send for Board {}

impl Board {
    pub fn new() -> Self {
        Self {
            taken: AtomicU64::new(PARTS),
            left: AtomicUsize::new(0),
            task: UnsafeCell::new(Task {
                context: std::ptr::null(),
                call: |_, _| {},
            }),
            panicked: AtomicBool::new(false),
        }
    }

    /// Puts a task of at most [`MAX_PARTS`] parts up, calls `wake`, does the first part itself and
    /// then what nobody else has taken. When this returns, or unwinds, no part can be taken any more
    /// and those that were are done.
    ///
    /// # Panics
    /// If doing a part does.
    ///
    /// # Safety
    /// Until then each part may be done once, by any thread. Nobody else calls this meanwhile.
    pub unsafe fn put_up(&self, task: Task, parts: usize, wake: impl FnOnce()) {
        let Some(others) = parts.checked_sub(1) else {
            return;
        };
        // SAFETY: all earlier tasks are done and nobody else puts one up, so nobody reads this.
        unsafe { *self.task.get() = task };
        self.left.store(others, Ordering::Relaxed);
        let number = (self.taken.load(Ordering::Relaxed) >> MAX_PARTS) + 1;
        // To take its own part from the start spares this thread a race for the board.
        let taken = (PARTS << parts) & PARTS | 1;
        self.taken
            .store(number << MAX_PARTS | taken, Ordering::SeqCst);
        let take_down = TakeDown(self);
        wake();
        // SAFETY: the caller allows it, and the first part can't be taken by others.
        unsafe { (task.call)(task.context, 0) };
        while self.work(0) {}
        drop(take_down);
        assert!(!self.panicked.load(Ordering::Relaxed), "a worker panicked");
    }

    /// Whether a part can be taken.
    pub fn has_work(&self) -> bool {
        self.taken.load(Ordering::SeqCst) & PARTS != PARTS
    }

    /// Does one part, if there is one to be taken: the favourite if possible.
    pub fn work(&self, favourite: usize) -> bool {
        let Some(part) = self.take(favourite) else {
            return false;
        };
        let done = Done(self);
        // SAFETY: a part has been taken and isn't done, so the task stays; `put_up` allows the call.
        unsafe {
            let Task { context, call } = *self.task.get();
            call(context, part);
        }
        drop(done);
        true
    }

    fn take(&self, favourite: usize) -> Option<usize> {
        let mut taken = self.taken.load(Ordering::Acquire);
        loop {
            let free = !taken & PARTS;
            let part = match free >> favourite & 1 {
                _ if free == 0 => return None,
                0 => free.trailing_zeros() as usize,
                _ => favourite,
            };
            let with_it = taken | 1 << part;
            let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
            match (self.taken).compare_exchange_weak(taken, with_it, success, failure) {
                Ok(_) => return Some(part),
                Err(now) => taken = now,
            }
        }
    }
}

/// Takes the task down when it is dropped.
struct TakeDown<'a>(&'a Board);

impl Drop for TakeDown<'_> {
    fn drop(&mut self) {
        let Self(board) = self;
        // Only after a panic is there something left to take.
        let free = !board.taken.fetch_or(PARTS, Ordering::AcqRel) & PARTS;
        let untaken = free.count_ones() as usize;
        board.left.fetch_sub(untaken, Ordering::Relaxed);
        let mut looks = 0;
        while board.left.load(Ordering::Acquire) > 0 {
            looks += 1;
            if looks < LOOKS {
                hint::spin_loop();
            } else {
                thread::yield_now();
            }
        }
    }
}

/// Counts a part as done when it is dropped.
struct Done<'a>(&'a Board);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.panicked.store(true, Ordering::Relaxed);
        }
        self.0.left.fetch_sub(1, Ordering::Release);
    }
}
