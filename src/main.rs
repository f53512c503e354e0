//! scache(8), the shared connection cache of Postfix. Start here.
//!
//! `multi_server` does what every child of master(8) does at start-up and then
//! runs the service of `scache` until master(8) or idleness ends it.

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

fn main() {
    // Nobody reads it, so it has to be kept.
    black_box(&MAIL_VERSION_STAMP);
    multi_server_main(init)
}

fn init(conf: &mut MailConf) -> Result<Scache, String> {
    let scache_params = scache_params_init(conf)?;
    Ok(Scache::new(
        scache_params,
        conf.mail_version().announces_protocol(),
        Instant::now(),
    ))
}
