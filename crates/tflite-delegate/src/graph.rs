//! A graph as a delegate sees it before any of it runs.

use core::ffi::c_int;
use core::ptr;

use crate::arrays::{IntArray, elements};
use crate::delegate::Error;
use crate::node::Node;
use crate::sys;
use crate::tensor::{TensorId, Tensors};

/// Index of a node in its graph.
pub type NodeId = i32;

/// Nodes that can run as one, and what goes in and comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// In an order in which they can run.
    pub nodes: Vec<NodeId>,
    /// Tensors that the nodes read and others make, constants among them.
    pub inputs: Vec<TensorId>,
    /// Tensors that the nodes make and others read.
    pub outputs: Vec<TensorId>,
}

impl Partition {
    /// # Safety
    /// `params` and its arrays are the runtime's and don't change during the call.
    pub(crate) unsafe fn from_params(params: &sys::DelegateParams) -> Self {
        // SAFETY: by contract.
        let nodes: &[i32] = unsafe { elements(params.nodes_to_replace) };
        // SAFETY: by contract.
        let inputs: &[i32] = unsafe { elements(params.input_tensors) };
        // SAFETY: by contract.
        let outputs: &[i32] = unsafe { elements(params.output_tensors) };
        let tensors = |ids: &[i32]| {
            let ids = ids.iter().filter_map(|&id| TensorId::try_from(id).ok());
            ids.collect()
        };
        Self {
            nodes: nodes.into(),
            inputs: tensors(inputs),
            outputs: tensors(outputs),
        }
    }
}

/// A graph that a delegate is applied to.
pub struct Graph<'a> {
    context: *mut sys::Context,
    tensors: Tensors<'a>,
    plan: Vec<NodeId>,
}

impl Graph<'_> {
    /// # Safety
    /// `context` is what the runtime has passed to a delegate's `Prepare`, which hasn't returned
    /// before the end of `'a` and uses the context through this graph alone.
    pub(crate) unsafe fn new(context: *mut sys::Context) -> Result<Self, Error> {
        // SAFETY: by contract.
        let get = unsafe { (*context).get_execution_plan }.ok_or("no GetExecutionPlan")?;
        let mut plan = ptr::null_mut();
        // SAFETY: the function is called with its own context and a place for the answer.
        check("GetExecutionPlan", unsafe { get(context, &mut plan) })?;
        // A later call may overwrite the runtime's plan, so it is copied.
        // SAFETY: the runtime's array, which lives until such a call.
        let plan = unsafe { elements(plan) }.to_vec();
        // SAFETY: by contract.
        let tensors = unsafe { Tensors::new(context) };
        Ok(Self {
            context,
            tensors,
            plan,
        })
    }

    /// The nodes in an order in which they can run.
    pub fn plan(&self) -> &[NodeId] {
        &self.plan
    }

    /// All tensors.
    pub fn tensors(&self) -> &Tensors<'_> {
        &self.tensors
    }

    /// One node.
    ///
    /// # Errors
    /// The runtime has no such node.
    pub fn node(&self, id: NodeId) -> Result<Node<'_>, Error> {
        // SAFETY: `new` was promised a valid context.
        let get = unsafe { (*self.context).get_node_and_registration };
        let get = get.ok_or("no GetNodeAndRegistration")?;
        let (mut node, mut registration) = (ptr::null_mut(), ptr::null_mut());
        // SAFETY: the function is called with its own context and places for the answers.
        let status = unsafe { get(self.context, id, &mut node, &mut registration) };
        check("GetNodeAndRegistration", status)?;
        // SAFETY: NULL or the runtime's, which keeps both for as long as it keeps the graph; they
        // move when nodes are added, which happens after the last use of this graph.
        match unsafe { (node.as_ref(), registration.as_ref()) } {
            (Some(node), Some(registration)) => Ok(Node::new(node, registration)),
            _ => Err(format!("the runtime has no node {id}").into()),
        }
    }

    /// Groups nodes so that each group can run as one.
    ///
    /// # Errors
    /// The runtime refuses.
    pub fn partition(&self, nodes: &[NodeId]) -> Result<Vec<Partition>, Error> {
        // SAFETY: `new` was promised a valid context.
        let preview = unsafe { (*self.context).preview_delegate_partitioning };
        let preview = preview.ok_or("no PreviewDelegatePartitioning")?;
        if nodes.is_empty() {
            return Ok(Vec::new());
        }
        let chosen = IntArray::new(nodes.iter().copied());
        let (mut params, mut count) = (ptr::null_mut(), 0);
        // SAFETY: the function is called with its own context, an array that outlives the call, and
        // places for the answers.
        let status = unsafe { preview(self.context, chosen.as_ptr(), &mut params, &mut count) };
        check("PreviewDelegatePartitioning", status)?;
        let count = usize::try_from(count).unwrap_or(0);
        if params.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: the runtime answered with `count` partitions, which live until the next such call.
        let params = unsafe { core::slice::from_raw_parts(params, count) };
        // SAFETY: as above.
        let partition = |params| unsafe { Partition::from_params(params) };
        Ok(params.iter().map(partition).collect())
    }

    /// Has the runtime put kernels in the place of nodes, grouped as [`Graph::partition`] does.
    ///
    /// # Safety
    /// `delegate` is the one that the graph was given to, and `registration` is its kernels'.
    pub(crate) unsafe fn replace(
        self,
        nodes: &[NodeId],
        registration: sys::Registration,
        delegate: *mut sys::Delegate,
    ) -> Result<(), Error> {
        // SAFETY: `new` was promised a valid context.
        let replace = unsafe { (*self.context).replace_node_subsets };
        let replace = replace.ok_or("no ReplaceNodeSubsetsWithDelegateKernels")?;
        let chosen = IntArray::new(nodes.iter().copied());
        // SAFETY: the function is called with its own context, an array that outlives the call, and
        // by contract a registration and a delegate that belong together.
        let status = unsafe { replace(self.context, registration, chosen.as_ptr(), delegate) };
        check("ReplaceNodeSubsetsWithDelegateKernels", status)
    }
}

fn check(call: &str, status: c_int) -> Result<(), Error> {
    match status {
        sys::OK => Ok(()),
        status => Err(format!("the runtime's {call} failed with status {status}").into()),
    }
}
