//! One call after the other.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use apu_conformance::Bench;
use apu_conformance::bench::address;
use apu_conformance::foreign::Udmabuf;
use apu_conformance::uapi::{
    Argument, BIND_ASYNC, BIND_NOREPLACE, BIND_READONLY, BIND_UNMAP, BoCreate, BoSetLabel, Job,
    PrimeFdToHandle, QueueCreate, QueueDestroy, QueueGetState, Segment, Submit, Sync,
    SyncobjCreate, VmBind, VmBindOp, VmCreate, VmDestroy, VmGetState,
};
use rustix::mm::MapFlags;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::things::Names;
use crate::counts::{Counts, count};

/// Operations of a bind, and jobs of a submit, at most; limits are reached by lying about the number.
const SEVERAL: usize = 4;

/// Bytes of a buffer object that a machine may have, but that are more than a client's share.
const HUGE: std::ops::Range<u64> = 1 << 24..1 << 40;

/// A client and what it has made.
pub struct Fuzzer<'a> {
    bench: &'a Bench,
    random: fastrand::Rng,
    counts: &'a Counts,
    bos: Names,
    vms: Names,
    queues: Names,
    syncobjs: Names,
}

impl<'a> Fuzzer<'a> {
    /// Begins with what `bench` has.
    pub fn new(bench: &'a Bench, random: fastrand::Rng, counts: &'a Counts) -> Self {
        let mut fuzzer = Self {
            bench,
            random,
            counts,
            bos: Names::default(),
            vms: Names::default(),
            queues: Names::default(),
            syncobjs: Names::default(),
        };
        fuzzer.bos.add(bench.bo.handle);
        fuzzer.vms.add(bench.vm_id);
        fuzzer.queues.add(bench.queue_id);
        fuzzer.syncobjs.add(bench.signalled);
        fuzzer
    }

    /// Makes one call, or a few that belong together.
    pub fn step(&mut self) {
        match self.random.u32(0..100) {
            0..5 => self.query(),
            5..12 => self.bo_create(),
            12..17 => self.bo_close(),
            17..21 => self.map(),
            21..25 => self.vm_create(),
            25..27 => self.vm_destroy(),
            27..29 => self.vm_state(),
            29..48 => self.bind(),
            48..53 => self.queue_create(),
            53..56 => self.queue_destroy(),
            56..61 => self.queue_state(),
            61..65 => self.syncobj(),
            65..68 => self.wait(),
            68..70 => self.prime(),
            70..72 => self.foreign(),
            72..74 => self.label(),
            74..75 => self.look(),
            75..77 => self.scribble(),
            _ => self.submit(),
        }
    }

    /// Makes a call with, now and then, a bit of the argument turned. Whether it was accepted.
    fn call<A: Argument + FromBytes + IntoBytes>(&mut self, argument: &mut A) -> bool {
        if self.random.u32(0..12) == 0 {
            let bytes = argument.as_mut_bytes();
            let at = self.random.usize(0..bytes.len());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << self.random.u32(0..8);
            }
        }
        let accepted = self.bench.node.call(argument).is_ok();
        count(&self.counts.fuzzed);
        if accepted {
            count(&self.counts.accepted);
        }
        accepted
    }

    /// Mostly an array, now and then something that is none.
    fn pointer<T: Immutable>(&mut self, to: &[T]) -> u64 {
        match self.random.u32(0..40) {
            0 => 0,
            1 => 0x1000,
            2 => 0xffff_8880_0000_0000,
            3 => address(to) + self.random.u64(1..8),
            _ => address(to),
        }
    }

    /// Mostly `right`, now and then another number.
    fn number(&mut self, right: u32) -> u32 {
        match self.random.u32(0..40) {
            0 => self.random.u32(..),
            1 => u32::MAX,
            2 => right.wrapping_add(1),
            3 => 0,
            _ => right,
        }
    }

    /// An address or size of pages near the first one, now and then any.
    fn pages(&mut self, from: u64, most: u64) -> u64 {
        match self.random.u32(0..30) {
            0 => self.random.u64(..),
            1 => !0 - (self.bench.page() - 1),
            2 => from + self.random.u64(0..self.bench.page()),
            _ => from + self.bench.page() * self.random.u64(0..most),
        }
    }

    fn query(&mut self) {
        let mut answer = [0; 256];
        let length = self.random.usize(0..answer.len());
        let kind = self.number(0);
        if let Some(answer) = answer.get_mut(..length) {
            let _ = self.bench.node.query(kind, answer);
        }
        count(&self.counts.fuzzed);
    }

    fn bo_create(&mut self) {
        let mut bo = BoCreate {
            size: self.pages(1, 64),
            ..BoCreate::default()
        };
        // What fits the machine is had with its pages as soon as it is bound: not gigabytes.
        if HUGE.contains(&bo.size) {
            bo.size %= HUGE.start;
        }
        if self.call(&mut bo) {
            if HUGE.contains(&bo.size) {
                let _ = self.bench.node.close(bo.handle);
            } else {
                self.bos.add(bo.handle);
            }
        }
    }

    fn bo_close(&mut self) {
        let handle = self.bos.take(&mut self.random);
        let _ = self.bench.node.close(handle);
        count(&self.counts.fuzzed);
    }

    fn map(&mut self) {
        let offset = self.bench.bo.mmap_offset + self.pages(0, 16);
        let size = self.pages(1, 16).min(1 << 20);
        let _ = self.bench.node.map(offset & !0xfff, size, MapFlags::SHARED);
        count(&self.counts.fuzzed);
    }

    fn vm_create(&mut self) {
        let mut vm = VmCreate::default();
        if self.call(&mut vm) {
            self.vms.add(vm.vm_id);
        }
    }

    fn vm_destroy(&mut self) {
        let vm_id = self.vms.take(&mut self.random);
        self.call(&mut VmDestroy { vm_id, pad: 0 });
    }

    fn bind(&mut self) {
        let ops: [VmBindOp; SEVERAL] = std::array::from_fn(|_| {
            let right = self.random.u32(0..=1);
            let op = VmBindOp {
                kind: self.number(right),
                flags: self.bind_flags(),
                bo_handle: self.bos.any(&mut self.random),
                pad: 0,
                bo_offset: self.pages(0, 4),
                va: self.pages(self.bench.va.start, 64),
                size: self.pages(self.bench.page(), 8),
            };
            if op.kind == BIND_UNMAP && self.random.u32(0..8) > 0 {
                without_a_bo(op)
            } else {
                op
            }
        });
        let count = self.random.u32(1..=SEVERAL as u32);
        let mut bind = VmBind {
            vm_id: self.vms.any(&mut self.random),
            op_count: self.number(count),
            op_stride: self.number(size_of::<VmBindOp>() as u32),
            ops: self.pointer(&ops),
            ..VmBind::default()
        };
        let (waits, signals) = ([self.sync(), self.sync()], [self.sync(), self.sync()]);
        if self.random.bool() {
            bind.flags = self.number(BIND_ASYNC);
            (bind.waits, bind.signals) = (self.pointer(&waits), self.pointer(&signals));
            (bind.wait_count, bind.signal_count) = (self.some(), self.some());
            bind.sync_stride = self.number(size_of::<Sync>() as u32);
        }
        self.call(&mut bind);
    }

    /// NOREPLACE is seldom: where it fails asynchronously it is the end of the VM.
    fn bind_flags(&mut self) -> u32 {
        let noreplace = self.random.u32(0..16) == 0;
        let read_only = self.random.bool();
        (u32::from(read_only) * BIND_READONLY) | (u32::from(noreplace) * BIND_NOREPLACE)
    }

    /// Mostly none, now and then one or two; seldom a lie.
    fn some(&mut self) -> u32 {
        let right = self.random.u32(0..3) & self.random.u32(0..3);
        self.number(right)
    }

    fn vm_state(&mut self) {
        let vm_id = self.vms.any(&mut self.random);
        self.call(&mut VmGetState {
            vm_id,
            ..VmGetState::default()
        });
    }

    fn queue_create(&mut self) {
        let mut queue = QueueCreate {
            vm_id: self.vms.any(&mut self.random),
            priority: self.random.u32(0..4),
            core_mask: self.random.u64(0..3),
            timeout_ms: self.random.u32(0..100),
            max_cores: self.random.u32(0..3),
            ..QueueCreate::default()
        };
        if self.call(&mut queue) {
            self.queues.add(queue.queue_id);
        }
    }

    fn queue_destroy(&mut self) {
        let queue_id = self.queues.take(&mut self.random);
        self.call(&mut QueueDestroy { queue_id, pad: 0 });
    }

    fn queue_state(&mut self) {
        let queue_id = self.queues.any(&mut self.random);
        self.call(&mut QueueGetState {
            queue_id,
            ..QueueGetState::default()
        });
    }

    fn syncobj(&mut self) {
        if self.random.bool() {
            let name = self.syncobjs.take(&mut self.random);
            let _ = self.bench.node.forget(name);
            count(&self.counts.fuzzed);
        }
        let mut create = SyncobjCreate::default();
        if self.call(&mut create) {
            self.syncobjs.add(create.handle);
        }
    }

    fn wait(&mut self) {
        let name = self.syncobjs.any(&mut self.random);
        let patience = Duration::from_millis(self.random.u64(0..4));
        let _ = self.bench.node.wait(name, patience);
        count(&self.counts.fuzzed);
    }

    fn prime(&mut self) {
        let handle = self.bos.any(&mut self.random);
        count(&self.counts.fuzzed);
        if let Ok(file) = self.bench.node.export(handle) {
            self.import(&file);
        }
    }

    fn import(&mut self, file: &OwnedFd) {
        let mut import = PrimeFdToHandle {
            fd: file.as_raw_fd(),
            ..PrimeFdToHandle::default()
        };
        if self.call(&mut import) {
            self.bos.add(import.handle);
        }
    }

    /// Takes in a buffer that another driver made.
    fn foreign(&mut self) {
        let size = self.bench.page() * self.random.u64(1..8);
        if let Ok(buffer) = Udmabuf::new(size) {
            self.import(&buffer.dma_buf);
        }
    }

    fn label(&mut self) {
        let mut text = [b'x'; 300];
        if let Some(end) = text.get_mut(self.random.usize(0..400)) {
            *end = 0;
        }
        let mut label = BoSetLabel {
            handle: self.bos.any(&mut self.random),
            pad: 0,
            label: self.pointer(&text),
        };
        self.call(&mut label);
    }

    /// Has the kernel tell what clients use and what is mapped.
    fn look(&mut self) {
        let fdinfo = format!("/proc/self/fdinfo/{}", self.bench.node.fd().as_raw_fd());
        let _ = std::fs::read(fdinfo);
        let _ = std::fs::read("/sys/kernel/debug/apu.apu.sim.0/vms");
    }

    /// Changes the program under the jobs that run it.
    fn scribble(&mut self) {
        let words = &self.bench.work.words;
        let code = 2 * self.bench.work.pitch as usize / 4;
        if let Some(word) = words.get(code + self.random.usize(0..160)) {
            word.fetch_xor(1 << self.random.u32(0..31), Relaxed);
        }
    }

    fn sync(&mut self) -> Sync {
        let timeline = self.random.u32(0..4) == 0;
        Sync {
            handle: self.syncobjs.any(&mut self.random),
            flags: self.number(u32::from(timeline)),
            point: if timeline { self.random.u64(0..8) } else { 0 },
        }
    }

    fn submit(&mut self) {
        let waits = [self.sync(), self.sync()];
        let signals = [self.sync(), self.sync()];
        let (start, page) = (self.bench.va.start, self.bench.page());
        let segment = |va| Segment { va, size: page };
        let mut segments = [
            segment(0),
            segment(0),
            segment(start),
            segment(start + page),
        ];
        if self.random.u32(0..6) == 0 {
            let at = self.random.usize(0..segments.len());
            segments[at] = Segment {
                va: self.pages(start, 64),
                size: self.pages(page, 4),
            };
        }
        let jobs: [Job; SEVERAL] = std::array::from_fn(|_| self.job(&waits, &signals, &segments));
        let count = self.random.u32(1..=SEVERAL as u32);
        let mut submit = Submit {
            queue_id: self.queues.any(&mut self.random),
            job_count: self.number(count),
            job_stride: self.number(size_of::<Job>() as u32),
            jobs: self.pointer(&jobs),
            ..Submit::default()
        };
        self.call(&mut submit);
    }

    fn job(&mut self, waits: &[Sync], signals: &[Sync], segments: &[Segment]) -> Job {
        let code = self.bench.va.start + 2 * self.bench.page();
        let mut job = Job {
            waits: self.pointer(waits),
            signals: self.pointer(signals),
            wait_count: self.some(),
            signal_count: self.some(),
            sync_stride: self.number(size_of::<Sync>() as u32),
            ..Job::default()
        };
        job.run.program_va = if self.random.u32(0..8) > 0 {
            code
        } else {
            self.pages(code, 8)
        };
        job.run.program_size = self.bench.work.code;
        job.run.segments = self.pointer(segments);
        job.run.segment_count = self.number(segments.len() as u32);
        job.run.segment_stride = self.number(size_of::<Segment>() as u32);
        job
    }
}

/// What an unmap must leave 0.
fn without_a_bo(op: VmBindOp) -> VmBindOp {
    VmBindOp {
        flags: 0,
        bo_handle: 0,
        bo_offset: 0,
        ..op
    }
}
