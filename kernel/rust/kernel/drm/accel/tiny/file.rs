// SPDX-License-Identifier: GPL-2.0

//! One open file: the handles of its VMs and queues, and what can be done with them.

use super::{
    bind_queue,
    bo,
    handles::Handles,
    queue::Queue,
    submit,
    usage::Usage,
    vm::Vm,
    Access,
    BindOp,
    Bo,
    BoRange,
    Driver,
    JobRequest,
    QueueConfig,
    QueueInfo,
    Syncs,
    VmInfo, //
};
use crate::{
    drm::{
        self,
        file::DriverFile,
        gem::BaseObject, //
    },
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
        new_mutex,
        Arc,
        Mutex, //
    }, //
};
use core::ops::Range;

/// The framework's state of one open file.
#[pin_data(PinnedDrop)]
pub struct File<D: Driver> {
    pub(super) device: ARef<drm::Device<D>>,
    pub(super) usage: Arc<Usage>,
    #[pin]
    objects: Mutex<Objects<D>>,
}

struct Objects<D: Driver> {
    queues: Handles<Queue<D>>,
    vms: Handles<Vm<D>>,
}

// Nothing in it is pinned in place.
impl<D: Driver> Unpin for Objects<D> {}

impl<D: Driver> DriverFile for File<D> {
    type Driver = D;

    fn open(device: &drm::Device<D>) -> Result<Pin<KBox<Self>>> {
        KBox::try_pin_init(
            try_pin_init!(Self {
                device: device.into(),
                usage: Usage::new()?,
                objects <- new_mutex!(Objects {
                    queues: Handles::new(D::LIMITS.queues),
                    vms: Handles::new(D::LIMITS.vms),
                }),
            }),
            GFP_KERNEL,
        )
    }
}

#[pinned_drop]
impl<D: Driver> PinnedDrop for File<D> {
    fn drop(self: Pin<&mut Self>) {
        let objects = self.objects.lock();
        for queue in objects.queues.iter() {
            queue.close();
        }
        for vm in objects.vms.iter() {
            vm.binds.close();
        }
    }
}

impl<D: Driver> File<D> {
    /// Creates a buffer object of at least `size` bytes. Returns its handle, its size and the
    /// offset for mmap(). [`ENOSPC`] when the file has as many bytes as it may.
    pub fn bo_create(file: &drm::File<Self>, size: u64) -> Result<(u32, u64, u64)> {
        let bo = bo::create::<D>(&file.inner().device, &file.inner().usage, size)?;
        let offset = bo.create_mmap_offset()?;
        Ok((bo.create_handle(file)?, bo.size() as u64, offset))
    }

    /// Says what a buffer object is for, to people who look for faults.
    pub fn bo_set_label(file: &drm::File<Self>, handle: u32, label: Option<CString>) -> Result {
        let bo = Bo::<D>::lookup_handle(file, handle)?;
        let old = core::mem::replace(&mut *bo.label.lock(), label);
        drop(old);
        Ok(())
    }

    /// Names a part of the buffer object that `handle` names.
    pub fn bo_range(
        file: &drm::File<Self>,
        handle: u32,
        offset: u64,
        size: u64,
        access: Access,
    ) -> Result<BoRange<D>> {
        Ok(BoRange {
            bo: Bo::<D>::lookup_handle(file, handle)?,
            offset,
            size,
            access,
        })
    }

    /// Creates a VM and returns its handle.
    pub fn vm_create(&self) -> Result<(u32, Range<u64>)> {
        let mut objects = self.objects.lock();
        let handle = objects.vms.insert(|| Vm::new(&self.device))?;
        Ok((handle, objects.vms.get(handle)?.va()))
    }

    /// Tells how a VM does.
    pub fn vm_info(&self, handle: u32) -> Result<VmInfo> {
        let vm = self.objects.lock().vms.get(handle)?;
        Ok(vm.info())
    }

    /// Destroys a VM; [`EBUSY`] while a queue of this file uses it. Changes of it that wait still
    /// end with [`ECANCELED`].
    pub fn vm_destroy(&self, handle: u32) -> Result {
        let mut objects = self.objects.lock();
        let vm = objects.vms.get(handle)?;
        if objects
            .queues
            .iter()
            .any(|queue| Arc::ptr_eq(&queue.vm, &vm))
        {
            return Err(EBUSY);
        }
        let named = objects.vms.remove(handle);
        drop(objects);
        vm.binds.close();
        drop((named, vm));
        Ok(())
    }

    /// Does changes of a VM in order, and returns when the device knows. The number of those done
    /// comes with the result; when one fails, those before it stay done. They go before changes
    /// that wait for fences.
    pub fn vm_bind(
        &self,
        handle: u32,
        ops: impl Iterator<Item = Result<BindOp<D>>>,
    ) -> (u32, Result) {
        let vm = self.objects.lock().vms.get(handle);
        let vm = match vm {
            Ok(vm) => vm,
            Err(error) => return (0, Err(error)),
        };
        let mut room = D::Room::default();
        let mut done = 0;
        let mut result = Ok(());
        for op in ops {
            result = op.and_then(|op| vm.bind(op, &mut room));
            if result.is_err() {
                break;
            }
            done += 1;
        }
        (done, result.and(vm.flush(&mut room)))
    }

    /// Queues changes of a VM, all of them or none, which are done in order and after those queued
    /// before. The number of those that could be queued comes with the result. When one of them
    /// fails later, the VM is unusable; see [`vm_info`](Self::vm_info).
    ///
    /// A driver whose [`map`](Driver::map) or [`unmap`](Driver::unmap) may allocate must not call
    /// this.
    pub fn vm_bind_async(
        file: &drm::File<Self>,
        handle: u32,
        ops: impl Iterator<Item = Result<BindOp<D>>>,
        syncs: Syncs,
    ) -> (u32, Result) {
        let vm = file.inner().objects.lock().vms.get(handle);
        match vm {
            Ok(vm) => bind_queue::bind(file, &vm, ops, syncs),
            Err(error) => (0, Err(error)),
        }
    }

    /// Creates a queue on a VM and returns its handle.
    pub fn queue_create(&self, vm: u32, config: QueueConfig) -> Result<u32> {
        let mut objects = self.objects.lock();
        let vm = objects.vms.get(vm)?;
        objects
            .queues
            .insert(|| Queue::new(vm, config, self.usage.clone()))
    }

    /// Destroys a queue; its jobs that have not ended do so with [`ECANCELED`].
    pub fn queue_destroy(&self, handle: u32) -> Result {
        let queue = self.objects.lock().queues.remove(handle)?;
        queue.close();
        Ok(())
    }

    /// Tells how a queue does.
    pub fn queue_info(&self, handle: u32) -> Result<QueueInfo> {
        Ok(self.objects.lock().queues.get(handle)?.info())
    }

    /// Queues all jobs or none.
    pub fn submit(file: &drm::File<Self>, queue: u32, requests: KVec<JobRequest<D>>) -> Result {
        let queue = file.inner().objects.lock().queues.get(queue)?;
        submit::submit(file, &queue, requests)
    }
}
