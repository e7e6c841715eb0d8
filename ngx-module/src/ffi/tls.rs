//! TLS as a client, with nginx's own functions, on an established connection. Certificates are not
//! checked.

use super::sys;

/// Whether this nginx supports it.
pub(crate) const IS_HERE: bool = cfg!(nginx_has_tls_client);

/// The state of a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(nginx_has_tls_client), allow(dead_code, reason = "without TLS every handshake fails"))]
pub(super) enum Handshake {
    Done,
    /// nginx calls back.
    GoesOn,
    Failed,
}

#[cfg(nginx_has_tls_client)]
pub(super) use with::Tls;
#[cfg(not(nginx_has_tls_client))]
pub(super) use without::Tls;

#[cfg(nginx_has_tls_client)]
mod with {
    use core::mem::MaybeUninit;
    use std::ffi::CString;

    use super::super::codes::{AGAIN, OK};
    use super::super::log;
    use super::{Handshake, sys};

    const PROTOCOLS: u32 =
        sys::NGX_SSL_TLSv1 | sys::NGX_SSL_TLSv1_1 | sys::NGX_SSL_TLSv1_2 | sys::NGX_SSL_TLSv1_3;

    /// The state that a connection needs for TLS.
    pub(in super::super) struct Tls {
        context: Box<sys::ngx_ssl_t>,
    }

    impl Tls {
        /// Prepares a connection.
        ///
        /// # Safety
        ///
        /// The connection is established and has a pool.
        pub(in super::super) unsafe fn new(
            connection: *mut sys::ngx_connection_t,
            server_name: Option<&str>,
        ) -> Option<Self> {
            // SAFETY: zero is a valid value of this plain structure, and what nginx expects.
            let mut context: Box<sys::ngx_ssl_t> = Box::new(unsafe { MaybeUninit::zeroed().assume_init() });
            context.log = log::silent();
            // SAFETY: nginx's call.
            if unsafe { sys::ngx_ssl_create(&raw mut *context, PROTOCOLS as usize, core::ptr::null_mut()) }
                != OK
            {
                return None;
            }
            let mut tls = Self { context };
            let flags = (sys::NGX_SSL_BUFFER | sys::NGX_SSL_CLIENT) as usize;
            // SAFETY: by this function's contract.
            unsafe {
                if sys::ngx_ssl_create_connection(&raw mut *tls.context, connection, flags) != OK {
                    return None;
                }
                name_server(connection, server_name)
            }
            .then_some(tls)
        }
    }

    /// # Safety
    ///
    /// nginx has made the connection one of TLS.
    unsafe fn name_server(connection: *mut sys::ngx_connection_t, name: Option<&str>) -> bool {
        let Some(name) = name else { return true };
        let Ok(name) = CString::new(name) else { return false };
        // SAFETY: by this function's contract. OpenSSL copies the name.
        unsafe {
            sys::SSL_ctrl(
                (*(*connection).ssl).connection,
                sys::SSL_CTRL_SET_TLSEXT_HOSTNAME as i32,
                sys::TLSEXT_NAMETYPE_host_name.into(),
                name.as_ptr().cast_mut().cast(),
            ) == 1
        }
    }

    impl Tls {
        /// Continues the handshake as far as possible.
        ///
        /// # Safety
        ///
        /// The connection is the one of `new`. `then` is called by nginx, if it goes on.
        pub(in super::super) unsafe fn shake_hands(
            &self,
            connection: *mut sys::ngx_connection_t,
            then: unsafe extern "C" fn(*mut sys::ngx_connection_t),
        ) -> Handshake {
            // SAFETY: by this function's contract.
            match unsafe { sys::ngx_ssl_handshake(connection) } {
                OK => Handshake::Done,
                AGAIN => {
                    // SAFETY: as above.
                    unsafe { (*(*connection).ssl).handler = Some(then) };
                    Handshake::GoesOn
                }
                _ => Handshake::Failed,
            }
        }

        /// Whether the handshake is complete.
        ///
        /// # Safety
        ///
        /// The connection is the one of `new`.
        pub(in super::super) unsafe fn is_done(&self, connection: *mut sys::ngx_connection_t) -> bool {
            // SAFETY: by this function's contract.
            unsafe { (*connection).ssl.as_ref().is_some_and(|ssl| ssl.handshaked() != 0) }
        }

        /// Ends TLS, if it was started, without notifying the other side, which has sent everything that was needed.
        ///
        /// # Safety
        ///
        /// The connection is valid, and about to be closed.
        pub(in super::super) unsafe fn end(connection: *mut sys::ngx_connection_t) {
            // SAFETY: by this function's contract.
            unsafe {
                if let Some(ssl) = (*connection).ssl.as_mut() {
                    ssl.set_no_wait_shutdown(1);
                    ssl.set_no_send_shutdown(1);
                    sys::ngx_ssl_shutdown(connection);
                }
            }
        }
    }

    impl Drop for Tls {
        fn drop(&mut self) {
            // SAFETY: made by `ngx_ssl_create`; OpenSSL counts who still refers to it.
            unsafe { sys::ngx_ssl_cleanup_ctx((&raw mut *self.context).cast()) };
        }
    }
}

#[cfg(not(nginx_has_tls_client))]
mod without {
    use super::{Handshake, sys};

    /// This nginx has no TLS.
    pub(in super::super) struct Tls;

    #[allow(
        clippy::missing_safety_doc,
        clippy::unused_self,
        reason = "the same functions as where there is TLS"
    )]
    impl Tls {
        pub(in super::super) unsafe fn new(_: *mut sys::ngx_connection_t, _: Option<&str>) -> Option<Self> {
            None
        }

        pub(in super::super) unsafe fn shake_hands(
            &self,
            _: *mut sys::ngx_connection_t,
            _: unsafe extern "C" fn(*mut sys::ngx_connection_t),
        ) -> Handshake {
            Handshake::Failed
        }

        pub(in super::super) unsafe fn is_done(&self, _: *mut sys::ngx_connection_t) -> bool {
            false
        }

        pub(in super::super) unsafe fn end(_: *mut sys::ngx_connection_t) {}
    }
}
