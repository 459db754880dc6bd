//! What a pool promises: each part once, all of them done, whatever the threads do.

#![allow(clippy::unwrap_used)]

use apu_firmware::Workers;
use apu_workers::Pool;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Barrier, Mutex};
use std::thread;

#[test]
fn each_part_is_done_once() {
    for threads in 0..5 {
        let mut pool = Pool::new(threads).unwrap();
        assert_eq!(pool.count(), threads.max(1));
        for round in 0..2000 {
            let mut parts = vec![round; round % 20];
            pool.each(&mut parts, |part| *part += 1);
            assert!(parts.iter().all(|&part| part == round + 1));
        }
    }
}

#[test]
fn parts_are_done_by_several_threads_at_a_time() {
    let mut pool = Pool::new(3).unwrap();
    let (all_are_here, threads) = (Barrier::new(3), Mutex::new(HashSet::new()));
    pool.each(&mut [(); 3], |()| {
        all_are_here.wait();
        threads.lock().unwrap().insert(thread::current().id());
    });
    assert_eq!(threads.into_inner().unwrap().len(), 3);
}

#[test]
fn helpers_that_sleep_are_woken() {
    let mut pool = Pool::new(2).unwrap();
    for _ in 0..20 {
        // Far longer than they look for work.
        let start = std::time::Instant::now();
        while start.elapsed().as_millis() < 5 {
            thread::yield_now();
        }
        let both_are_here = Barrier::new(2);
        pool.each(&mut [(); 2], |()| {
            both_are_here.wait();
        });
    }
}

#[test]
fn a_panic_comes_back_when_all_parts_are_done() {
    let mut pool = Pool::new(2).unwrap();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        pool.each(&mut [0, 1, 2, 3], |&mut part| assert_ne!(part, 2));
    }));
    assert!(caught.is_err());
}
