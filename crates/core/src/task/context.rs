//! What a task can ask about itself.
