// SPDX-License-Identifier: GPL-2.0

//! Memory that a device which was cut off may still reach.
//!
//! Being cut off keeps a remote core from nothing that it remembers the way to. What is given back
//! meanwhile is kept here until the core is out of reach.

use kernel::{
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// Keeps what is dropped while it is closed.
#[pin_data]
pub(crate) struct Quarantine {
    #[pin]
    state: Mutex<State>,
}

struct State {
    closed: bool,
    lifted: bool,
    kept: Option<KBox<Node<dyn Send + Sync>>>,
}

// Nothing in it is pinned in place.
impl Unpin for State {}

/// A link of the list, allocated with what it holds: nothing can fail when that is dropped.
struct Node<T: ?Sized> {
    next: Option<KBox<Node<dyn Send + Sync>>>,
    what: T,
}

impl Quarantine {
    /// Makes one that is open.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!(State {
                    closed: false,
                    lifted: false,
                    kept: None,
                }),
            }),
            GFP_KERNEL,
        )
    }

    /// From now on nothing is given back. May be called in the fence signalling path.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = !state.lifted;
    }

    /// Gives everything back, for good: the device reaches no memory any more.
    pub(crate) fn lift(&self) {
        let mut state = self.state.lock();
        state.closed = false;
        state.lifted = true;
        let mut kept = state.kept.take();
        drop(state);
        while let Some(mut node) = kept {
            kept = node.next.take();
        }
    }

    fn receive(&self, mut node: KBox<Node<dyn Send + Sync>>) {
        let mut state = self.state.lock();
        if state.closed {
            node.next = state.kept.take();
            state.kept = Some(node);
        } else {
            drop(state);
            drop(node);
        }
    }
}

/// Something that the device may reach. Dropped while the quarantine is closed, it stays.
pub(crate) struct Reachable<T: Send + Sync + 'static> {
    /// Some until this is dropped.
    node: Option<KBox<Node<T>>>,
    quarantine: Arc<Quarantine>,
}

impl<T: Send + Sync + 'static> Reachable<T> {
    /// Puts `what` under the rules of `quarantine`.
    pub(crate) fn new(what: T, quarantine: Arc<Quarantine>) -> Result<Self> {
        let node = KBox::new(Node { next: None, what }, GFP_KERNEL_ACCOUNT)?;
        Ok(Self {
            node: Some(node),
            quarantine,
        })
    }

    /// What it is, until it is dropped.
    pub(crate) fn get(&self) -> Option<&T> {
        self.node.as_ref().map(|node| &node.what)
    }

    /// What it is, to be changed.
    pub(crate) fn get_mut(&mut self) -> Option<&mut T> {
        self.node.as_mut().map(|node| &mut node.what)
    }
}

impl<T: Send + Sync + 'static> Drop for Reachable<T> {
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            self.quarantine.receive(node);
        }
    }
}
