//! Order restored: packet numbers, predecessors and open paths at the sender; extents, the frontier and the ring at the receiver.
