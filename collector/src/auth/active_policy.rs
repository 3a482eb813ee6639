//! The authorization policy in force, which a reload replaces.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::{RwLock, RwLockReadGuard};

use super::AuthPolicy;

/// Holds the authorization policy in force, and counts its replacements.
#[derive(Debug)]
pub struct ActivePolicy {
    policy: RwLock<Arc<AuthPolicy>>,
    generation: AtomicU32,
}

impl ActivePolicy {
    /// Creates a holder with the policy of the initial configuration.
    #[must_use]
    pub fn new(policy: Arc<AuthPolicy>) -> Self {
        Self { policy: RwLock::new(policy), generation: AtomicU32::new(0) }
    }

    /// Returns the policy in force. Unlike [`Self::lock`], it does not block a reload.
    pub fn current(&self) -> Arc<AuthPolicy> {
        Arc::clone(&self.policy.read())
    }

    /// Locks the policy in force. Hold the lock until the credential id is stored in the
    /// connection's handle, or a concurrent reload can miss this session.
    pub fn lock(&self) -> RwLockReadGuard<'_, Arc<AuthPolicy>> {
        self.policy.read()
    }

    /// Replaces the policy and returns the previous one.
    pub(crate) fn replace(&self, policy: Arc<AuthPolicy>) -> Arc<AuthPolicy> {
        let before = std::mem::replace(&mut *self.policy.write(), policy);
        self.generation.fetch_add(1, Ordering::Release);
        before
    }

    /// Returns how often the policy has been replaced.
    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }
}
