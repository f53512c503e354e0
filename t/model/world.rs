//! What names there are, how many, and how quickly time passes.

/// How many names of each kind there are, and how quickly time passes.
#[derive(Clone, Copy)]
pub struct World {
    pub endps: usize,
    pub dests: usize,
    pub props: usize,
    pub most_ttl: usize,
    pub most_pause: usize,
    pub endpoint_limit: usize,
    pub most_sessions: usize,
    /// So many are saved at once now and then, and all die now and then, if
    /// more than 1.
    pub crowd: usize,
}

/// Few endpoints and long lists of bindings; many endpoints and short lists;
/// little that ever ends; next to nothing that lives; many that die together, of
/// one endpoint and of two.
pub const WORLDS: [World; 6] = [
    World {
        endps: 4,
        dests: 2,
        props: 30,
        most_ttl: 3000,
        most_pause: 20,
        endpoint_limit: 0,
        most_sessions: 500,
        crowd: 1,
    },
    World {
        endps: 200,
        dests: 40,
        props: 2,
        most_ttl: 3000,
        most_pause: 20,
        endpoint_limit: 2,
        most_sessions: 500,
        crowd: 1,
    },
    World {
        endps: 20,
        dests: 10,
        props: 3,
        most_ttl: LONGEST_TTL as usize,
        most_pause: 4,
        endpoint_limit: 30,
        most_sessions: 500,
        crowd: 1,
    },
    World {
        endps: 5,
        dests: 3,
        props: 2,
        most_ttl: 20,
        most_pause: 20,
        endpoint_limit: 1,
        most_sessions: 500,
        crowd: 1,
    },
    DIES,
    World { endps: 2, ..DIES },
];

/// Many sessions of one endpoint that die together: more than one lookup may close.
const DIES: World = World {
    endps: 1,
    dests: 2,
    props: 2,
    most_ttl: LONGEST_TTL as usize,
    most_pause: 4,
    endpoint_limit: 0,
    most_sessions: MOST_OTHERS,
    crowd: 150,
};

/// A crowd comes while time stands still, and then it goes.
pub const COMES: World = World {
    endps: 3000,
    dests: 2000,
    props: 50,
    most_ttl: LONGEST_TTL as usize,
    most_pause: 1,
    endpoint_limit: 0,
    most_sessions: 10_000,
    crowd: 150,
};

/// What is there ends.
pub const GOES: World = World {
    most_ttl: 20,
    most_pause: 5,
    crowd: 1,
    ..COMES
};

/// No time to live is longer, in milliseconds.
pub const LONGEST_TTL: u64 = 20_000;

/// So many sessions that are sockets are enough.
pub const MOST_OTHERS: usize = 300;
