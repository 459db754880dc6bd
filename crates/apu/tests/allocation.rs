//! An inference allocates nothing.
#![allow(clippy::unwrap_used)]

mod digits;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use apu::{Device, Model};

struct Counting;

thread_local! {
    /// Of this thread, which in-process is the one that runs the inference.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: hands everything on to `System`.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's contract is `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, address: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(address, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn an_inference_allocates_nothing() {
    let device = Device::open(Device::IN_PROCESS).unwrap();
    let mut context = Model::load(&device, digits::program())
        .unwrap()
        .context()
        .unwrap();
    let (input, mut output) = (digits::picture(1), [0; digits::CLASSES]);
    context.run(&[&input], &mut [&mut output]).unwrap(); // makes the queue
    let before = ALLOCATIONS.get();
    for _ in 0..100 {
        context.run(&[&input], &mut [&mut output]).unwrap();
    }
    assert_eq!(ALLOCATIONS.get(), before);
}
