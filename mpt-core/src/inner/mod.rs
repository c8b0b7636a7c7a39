//! The inner packets: their addresses, flows, ECN and DSCP fields and TCP MSS.
