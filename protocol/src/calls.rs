//! Ties each request struct to its protocol's `Request` enum.
//!
//! Every protocol file exports its list of calls as a macro (`fs_calls!` ...) that hands the list
//! to another macro. Here it yields the `Call` and `From` impls; in `servers/rt` the handler trait
//! and the dispatcher come from the very same lines, so a server that forgets a call does not
//! compile.

/// Generates the protocol marker and, per listed call, `Call` and `From<_> for Request`.
///
/// A line reads `Variant(Type<'a>) method<'a> -> Reply, Retry;`, without the lifetimes where nothing is borrowed.
macro_rules! implement_calls {
    ($lt:lifetime $protocol:ident $module:ident $name:literal $all:ty {
        $( $variant:ident($request:ty) $method:ident<$($own:lifetime)?> -> $reply:ty, $retry:ident; )*
    }) => {
        /// Marker type of this protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $protocol {}

        impl $crate::Protocol for $protocol {
            type Request<$lt> = $all;
            const NAME: &'static str = $name;
        }

        $(
            impl<$lt> From<$request> for $all {
                fn from(request: $request) -> Self {
                    Request::$variant(request)
                }
            }

            impl<$lt> $crate::Call<$lt> for $request {
                type Protocol = $protocol;
                type Reply = $reply;
                const RETRY: $crate::Retry = $crate::Retry::$retry;
            }
        )*

        const _: () = assert!(
            <$crate::$module::Static as postcard::experimental::max_size::MaxSize>::POSTCARD_MAX_SIZE <= $crate::BODY_BYTES
        );
    };
}

pub(crate) use implement_calls;
