//! The runtime's side of the interface.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::{ManuallyDrop, zeroed};
use std::ptr;

use tflite_delegate::{Delegate, Graph, create, destroy, sys};

thread_local! {
    static MESSAGES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What was reported on this thread since the last call.
pub fn messages() -> Vec<String> {
    MESSAGES.take()
}

fn note(text: *const c_char) {
    // SAFETY: the crate under test passes C strings.
    let text = unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned();
    MESSAGES.with_borrow_mut(|all| all.push(text));
}

unsafe extern "C" fn hear(text: *const c_char) {
    note(text);
}

/// What a loader hears when it asks for a delegate with these options.
pub fn refusal<D: Delegate>(options: &[(&str, &str)]) -> Vec<String> {
    assert!(make::<D>(options).is_null());
    messages()
}

fn make<D: Delegate>(options: &[(&str, &str)]) -> *mut sys::Delegate {
    let c = |text: &str| CString::new(text).unwrap();
    let texts: Vec<(CString, CString)> = options.iter().map(|(k, v)| (c(k), c(v))).collect();
    let keys: Vec<_> = texts.iter().map(|(k, _)| k.as_ptr()).collect();
    let values: Vec<_> = texts.iter().map(|(_, v)| v.as_ptr()).collect();
    // SAFETY: arrays of that many C strings, and a function that takes one.
    unsafe { create::<D>(keys.as_ptr(), values.as_ptr(), keys.len(), Some(hear)) }
}

/// An array that lives as long as the process.
fn array<const N: usize>(elements: [i32; N]) -> *const sys::ArrayHead {
    let all = std::iter::once(N as i32).chain(elements);
    all.collect::<Vec<_>>().leak().as_ptr().cast()
}

/// A graph and the functions of its context. What lives in C for as long as the graph is leaked.
#[repr(C)]
pub struct Runtime {
    context: sys::Context,
    tensors: Vec<sys::Tensor>,
    nodes: Vec<sys::Node>,
    registration: sys::RegistrationHead,
    partition: sys::DelegateParams,
    /// The delegate's kernel, in the place of all nodes.
    kernel: Option<(ManuallyDrop<sys::Registration>, sys::Node)>,
}

impl Runtime {
    /// `t0 -> node 0 -> t1 -> node 1 -> t2`, all of four bytes; `t0` holds 1, 2, 3, 4.
    pub fn two_nodes() -> Box<Self> {
        let mut runtime: Box<Self> = Box::new(Self {
            // SAFETY: all fields may be zero, as in C.
            context: unsafe { zeroed() },
            tensors: [[1, 2, 3, 4], [0; 4], [0; 4]]
                .into_iter()
                .zip(0..)
                .map(tensor)
                .collect(),
            nodes: vec![
                node(array([0]), array([1])),
                node(array([1, -1]), array([2])),
            ],
            // SAFETY: as above.
            registration: unsafe { zeroed() },
            // SAFETY: as above.
            partition: unsafe { zeroed() },
            kernel: None,
        });
        runtime.registration.version = 1;
        let context = &mut runtime.context;
        context.tensors_size = 3;
        context.get_execution_plan = Some(get_execution_plan);
        context.get_node_and_registration = Some(get_node_and_registration);
        context.preview_delegate_partitioning = Some(preview);
        context.replace_node_subsets = Some(replace);
        type Plain = unsafe extern "C" fn(*mut sys::Context, *const c_char, *const c_char);
        type Variadic = unsafe extern "C" fn(*mut sys::Context, *const c_char, ...);
        // SAFETY: where pointers are passed alike with and without `...`, as on x86-64 and AArch64
        // Linux, this is how C would call it.
        context.report_error = Some(unsafe { std::mem::transmute::<Plain, Variadic>(report) });
        context.tensors = runtime.tensors.as_mut_ptr();
        runtime.partition.nodes_to_replace = array([0, 1]);
        runtime.partition.input_tensors = array([0]);
        runtime.partition.output_tensors = array([2]);
        runtime
    }

    /// Leaves NULL in node 1 and its input wherever the runtime may.
    pub fn strip(mut self: Box<Self>) -> Box<Self> {
        let tensor = &mut self.tensors[1];
        tensor.data = ptr::null_mut();
        tensor.dims = ptr::null_mut();
        tensor.name = ptr::null();
        tensor.quantization_params = ptr::null_mut();
        self.nodes[1].inputs = ptr::null();
        self.nodes[1].outputs = array([]);
        self
    }

    /// The bytes of a tensor.
    pub fn bytes(&self, tensor: usize) -> Vec<u8> {
        // SAFETY: every tensor has leaked bytes.
        unsafe { std::slice::from_raw_parts(self.tensors[tensor].data, 4) }.to_vec()
    }

    /// Shows the graph as a delegate sees it.
    pub fn look(mut self: Box<Self>, look: impl Fn(&Graph) + 'static) {
        thread_local! {
            static LOOK: RefCell<Option<Look>> = const { RefCell::new(None) };
        }
        type Look = Box<dyn Fn(&Graph)>;
        struct Looker;
        struct Nobody;
        impl Delegate for Looker {
            const NAME: &CStr = c"looker";
            type Kernel = Nobody;
            fn new(_: &[(&str, &str)]) -> Result<Self, tflite_delegate::Error> {
                Ok(Self)
            }
            fn place(
                &self,
                graph: &Graph,
            ) -> Result<Vec<tflite_delegate::Placed<Nobody>>, tflite_delegate::Error> {
                LOOK.with_borrow(|look| look.as_ref().unwrap()(graph));
                Ok(Vec::new())
            }
        }
        impl tflite_delegate::Kernel for Nobody {
            fn prepare(
                &mut self,
                _: &mut tflite_delegate::Tensors,
            ) -> Result<(), tflite_delegate::Error> {
                Ok(())
            }
            fn invoke(
                &mut self,
                _: &mut tflite_delegate::Tensors,
            ) -> Result<(), tflite_delegate::Error> {
                Ok(())
            }
        }
        LOOK.set(Some(Box::new(look)));
        assert_eq!(self.apply_and_run::<Looker>(&[]), [sys::OK]);
        assert_eq!(messages(), Vec::<String>::new());
    }

    /// The statuses of the delegate's `Prepare`, and of the kernel's `prepare` and `invoke` as far
    /// as it comes.
    pub fn apply_and_run<D: Delegate>(&mut self, options: &[(&str, &str)]) -> Vec<sys::Status> {
        let delegate = make::<D>(options);
        let context: *mut sys::Context = ptr::from_mut(self).cast();
        // SAFETY: the delegate was just made; the context is the first field of a living runtime.
        let apply = unsafe { (*delegate).prepare }.unwrap();
        // SAFETY: as above.
        let mut statuses = vec![unsafe { apply(context, delegate) }];
        // SAFETY: `context` is this runtime.
        if let Some((registration, node)) = unsafe { &mut (*context.cast::<Self>()).kernel } {
            for call in [registration.prepare, registration.invoke] {
                if statuses.iter().all(|&status| status == sys::OK) {
                    // SAFETY: the kernel's functions with its own node.
                    statuses.push(unsafe { call.unwrap()(context, node) });
                }
            }
            // SAFETY: the end of what `init` made.
            unsafe { registration.free.unwrap()(context, node.user_data) };
        }
        // SAFETY: the end of the delegate.
        unsafe { destroy::<D>(delegate) };
        statuses
    }
}

fn tensor((bytes, index): ([u8; 4], usize)) -> sys::Tensor {
    // SAFETY: all fields may be zero, as in C.
    let mut tensor: sys::Tensor = unsafe { zeroed() };
    tensor.element = 9;
    tensor.data = bytes.to_vec().leak().as_mut_ptr();
    tensor.dims = array([1, 4]).cast_mut();
    tensor.bytes = 4;
    tensor.allocation_type = 2;
    tensor.name = CString::new(format!("t{index}")).unwrap().into_raw();
    tensor.quantization_type = sys::QUANTIZATION_AFFINE;
    tensor.quantization_params = Box::leak(Box::new(sys::AffineQuantization {
        scale: array([0.5f32.to_bits().cast_signed()]),
        zero_point: array([-3]),
        quantized_dimension: 0,
    }));
    tensor
}

fn node(inputs: *const sys::ArrayHead, outputs: *const sys::ArrayHead) -> sys::Node {
    // SAFETY: all fields may be zero, as in C.
    let mut node: sys::Node = unsafe { zeroed() };
    node.inputs = inputs;
    node.outputs = outputs;
    node
}

/// # Safety
/// `context` is the first field of a living [`Runtime`].
unsafe fn runtime<'a>(context: *mut sys::Context) -> &'a mut Runtime {
    // SAFETY: by contract.
    unsafe { &mut *context.cast() }
}

unsafe extern "C" fn report(_: *mut sys::Context, format: *const c_char, text: *const c_char) {
    // SAFETY: the crate under test passes C strings.
    assert_eq!(unsafe { CStr::from_ptr(format) }, c"%s");
    note(text);
}

unsafe extern "C" fn get_execution_plan(
    _: *mut sys::Context,
    plan: *mut *mut sys::ArrayHead,
) -> c_int {
    // SAFETY: a place for the answer.
    unsafe { *plan = array([0, 1]).cast_mut() };
    sys::OK
}

unsafe extern "C" fn get_node_and_registration(
    context: *mut sys::Context,
    index: c_int,
    node: *mut *mut sys::Node,
    registration: *mut *mut sys::RegistrationHead,
) -> c_int {
    // SAFETY: this runtime's own context.
    let runtime = unsafe { runtime(context) };
    let Some(found) = runtime.nodes.get_mut(index as usize) else {
        return sys::ERROR;
    };
    // SAFETY: places for the answers.
    unsafe {
        *node = found;
        *registration = &mut runtime.registration;
    }
    sys::OK
}

unsafe extern "C" fn preview(
    context: *mut sys::Context,
    _: *const sys::ArrayHead,
    params: *mut *mut sys::DelegateParams,
    count: *mut c_int,
) -> c_int {
    // SAFETY: this runtime's own context, and places for the answers.
    unsafe {
        *params = &mut runtime(context).partition;
        *count = 1;
    }
    sys::OK
}

unsafe extern "C" fn replace(
    context: *mut sys::Context,
    registration: sys::Registration,
    _: *const sys::ArrayHead,
    delegate: *mut sys::Delegate,
) -> c_int {
    assert_eq!(registration.builtin_code, sys::BUILTIN_DELEGATE);
    assert!(registration.registration_external.is_null() && registration.room == [0; 16]);
    // SAFETY: this runtime's own context.
    let runtime = unsafe { runtime(context) };
    runtime.partition.delegate = delegate;
    let params = ptr::from_ref(&runtime.partition).cast();
    let mut node = node(array([0]), array([2]));
    // SAFETY: as the runtime does: the partition as a buffer whose length is 0.
    let kernel: *mut c_void = unsafe { registration.init.unwrap()(context, params, 0) };
    assert!(!kernel.is_null());
    node.user_data = kernel;
    runtime.kernel = Some((ManuallyDrop::new(registration), node));
    sys::OK
}
