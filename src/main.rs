//! scache(8), the shared connection cache of Postfix. Start here.
//!
//! `multi_server` initializes the process, as for all children of master(8), and
//! runs the service of `scache` until the process ends.

use std::hint::black_box;
use std::time::Instant;

use scache::global::mail_conf::MailConf;
use scache::global::mail_params::scache_params_init;
use scache::global::mail_version::MAIL_VERSION_STAMP;
use scache::master::multi_server::multi_server_main;
use scache::scache::Scache;
use scache::util::mymalloc::Mymalloc;

#[global_allocator]
static ALLOCATOR: Mymalloc = Mymalloc;

/// The original's `main()`.
fn main() {
    // Nothing reads it: without this it would be left out of the program.
    black_box(&MAIL_VERSION_STAMP);
    multi_server_main(init)
}

/// Makes the service. The original's `post_jail_init()`: here before chroot(2).
fn init(conf: &mut MailConf) -> Result<Scache, String> {
    let scache_params = scache_params_init(conf)?;
    Ok(Scache::new(
        scache_params,
        conf.mail_version().announces_protocol(),
        Instant::now(),
    ))
}
