// SPDX-License-Identifier: GPL-2.0

//! Messages on their way to the firmware.
//!
//! What is sent from the fence signalling path is allocated beforehand as a [`Blank`] and filled
//! when its time comes.

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
use core::mem::size_of;
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
    bytes: [u8; MAX_MESSAGE],
    length: usize,
    #[pin]
    links: ListLinks,
}

impl_list_arc_safe! {
    impl ListArcSafe<0> for Envelope { untracked; }
}
impl_list_item! {
    impl ListItem<0> for Envelope { using ListLinks { self.links }; }
}

/// An envelope that nothing is written into yet.
pub(crate) struct Blank(Pin<UniqueArc<Envelope>>);

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

impl Blank {
    pub(crate) fn new() -> Result<Self> {
        let envelope = UniqueArc::pin_init(
            try_pin_init!(Envelope {
                bytes: [0; MAX_MESSAGE],
                length: 0,
                links <- ListLinks::new(),
            }),
            GFP_KERNEL_ACCOUNT,
        )?;
        Ok(Self(envelope))
    }

    /// Writes a message.
    pub(crate) fn fill<B: Body>(self, body: &B) -> ListArc<Envelope> {
        self.fill_start(body, size_of::<B>())
    }

    /// Writes a RUN that ends behind its last segment in use.
    pub(crate) fn fill_run(self, run: &Run) -> ListArc<Envelope> {
        let segments = usize::from(run.segment_count) * size_of::<Segment>();
        self.fill_start(run, RUN_HEAD + segments)
    }

    /// Writes a message with the first bytes of a body.
    fn fill_start<B: Body>(mut self, body: &B, bytes: usize) -> ListArc<Envelope> {
        const { assert!(size_of::<Header>() + size_of::<B>() <= MAX_MESSAGE) };
        let length = size_of::<Header>() + bytes.min(size_of::<B>());
        let header = Header {
            magic: MAGIC,
            kind: B::KIND,
            // CAST: at most `MAX_MESSAGE`.
            length: length as u16,
        };
        let envelope = self.0.as_mut().project();
        *envelope.length = length;
        let (head, rest) = envelope.bytes.split_at_mut(size_of::<Header>());
        head.copy_from_slice(header.as_bytes());
        rest.split_at_mut(size_of::<B>())
            .0
            .copy_from_slice(body.as_bytes());
        self.0.into()
    }
}

impl Envelope {
    /// A message, allocated and written at once.
    pub(crate) fn new<B: Body>(body: &B) -> Result<ListArc<Self>> {
        Ok(Blank::new()?.fill(body))
    }

    /// The whole message.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or(&[])
    }
}
