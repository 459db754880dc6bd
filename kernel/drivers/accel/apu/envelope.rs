// SPDX-License-Identifier: GPL-2.0

//! Messages on their way to the firmware.
//!
//! What is sent from the fence signalling path is allocated beforehand as a [`Blank`] of its size,
//! and filled when its time comes.

use crate::message::{
    kind,
    Cancel,
    Header,
    Hello,
    Map,
    Resume,
    Run,
    Segment,
    Suspend,
    Sync,
    Unmap,
    VmCreate,
    VmDestroy,
    MAGIC,
    MAX_MESSAGE,
    RUN_HEAD, //
};
use core::{
    marker::PhantomData,
    mem::size_of, //
};
use kernel::{
    list::{
        impl_list_arc_safe,
        impl_list_item,
        ListArc,
        ListLinks, //
    },
    prelude::*,
    sync::UniqueArc, //
};
use zerocopy::{
    Immutable,
    IntoBytes, //
};

/// One whole message.
#[pin_data]
pub(crate) struct Envelope {
    bytes: KVec<u8>,
    #[pin]
    links: ListLinks,
}

impl_list_arc_safe! {
    impl ListArcSafe<0> for Envelope { untracked; }
}
impl_list_item! {
    impl ListItem<0> for Envelope { using ListLinks { self.links }; }
}

/// An envelope with room for a `B`, that nothing is written into yet.
pub(crate) struct Blank<B: Body>(Pin<UniqueArc<Envelope>>, PhantomData<B>);

/// An envelope with a RUN that lacks only what is known when the job's turn has come.
pub(crate) struct RunBlank(Pin<UniqueArc<Envelope>>);

/// A body that the host sends.
pub(crate) trait Body: IntoBytes + Immutable {
    /// Goes into the header.
    const KIND: u16;
}

macro_rules! bodies {
    ($($body:ident: $kind:ident,)*) => { $(
        impl Body for $body {
            const KIND: u16 = kind::$kind;
        }
    )* };
}

bodies! {
    Hello: HELLO,
    VmCreate: VM_CREATE,
    VmDestroy: VM_DESTROY,
    Map: MAP,
    Unmap: UNMAP,
    Sync: SYNC,
    Run: RUN,
    Cancel: CANCEL,
    Suspend: SUSPEND,
    Resume: RESUME,
}

impl<B: Body> Blank<B> {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Envelope::zeroed(size_of::<B>())?, PhantomData))
    }

    /// Writes a message that isn't larger.
    pub(crate) fn fill<C: Body>(mut self, body: &C) -> ListArc<Envelope> {
        const { assert!(size_of::<C>() <= size_of::<B>()) };
        self.0.as_mut().write::<C>(body.as_bytes(), size_of::<C>());
        self.0.into()
    }
}

impl RunBlank {
    /// A RUN that ends behind its last segment in use.
    pub(crate) fn new(run: &Run) -> Result<Self> {
        let segments = usize::from(run.segment_count) * size_of::<Segment>();
        let size = size_of::<Run>().min(RUN_HEAD + segments);
        let mut envelope = Envelope::zeroed(size)?;
        envelope.as_mut().write::<Run>(run.as_bytes(), size);
        Ok(Self(envelope))
    }

    /// Writes all but the segments anew.
    pub(crate) fn fill(mut self, run: &Run) -> ListArc<Envelope> {
        let bytes = self.0.as_mut().project().bytes;
        let place = bytes.get_mut(size_of::<Header>()..size_of::<Header>() + RUN_HEAD);
        if let (Some(place), Some(head)) = (place, run.as_bytes().get(..RUN_HEAD)) {
            place.copy_from_slice(head);
        }
        self.0.into()
    }
}

impl Envelope {
    /// One with room for a body of `size` bytes.
    fn zeroed(size: usize) -> Result<Pin<UniqueArc<Self>>> {
        let bytes = KVec::from_elem(0, size_of::<Header>() + size, GFP_KERNEL_ACCOUNT)?;
        let envelope = UniqueArc::pin_init(
            pin_init!(Self {
                bytes,
                links <- ListLinks::new(),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        Ok(envelope)
    }

    /// Writes a message whose body is the first `size` bytes of `body`, for which there is room.
    fn write<B: Body>(self: Pin<&mut Self>, body: &[u8], size: usize) {
        const { assert!(size_of::<Header>() + size_of::<B>() <= MAX_MESSAGE) };
        let length = size_of::<Header>() + size;
        let header = Header {
            magic: MAGIC,
            kind: B::KIND,
            // CAST: at most `MAX_MESSAGE`.
            length: length as u16,
        };
        let bytes = self.project().bytes;
        bytes.truncate(length);
        let (place, rest) = bytes.split_at_mut(size_of::<Header>());
        place.copy_from_slice(header.as_bytes());
        if let Some(body) = body.get(..rest.len()) {
            rest.copy_from_slice(body);
        }
    }

    /// A message, allocated and written at once.
    pub(crate) fn new<B: Body>(body: &B) -> Result<ListArc<Self>> {
        Ok(Blank::<B>::new()?.fill(body))
    }

    /// The whole message.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
