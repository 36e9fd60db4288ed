#ifndef WORLD_CORE_SAVE_H
#define WORLD_CORE_SAVE_H

// A saved state, all numbers little-endian:
//
//   magic u32 | version u32 | seed u64 | secret 16 bytes | tick, paused, serial_next, ticket_next,
//   spawns_total, bill_next, state hash: u64 each | rules (world_rules_encode)
//   chunk count u32 | a of every chunk | b of every chunk | terrains, chunk after chunk
//   charted, a bit per chunk, in words u64
//   slot_end u32 | generation u32 of slots 1.. | alive, a bit per slot, in words u64
//   per component: if sparse its row count and its slots; then column after column
//   empires | players | spawn keys | bills, each with its count u32
//   allies_lend u32 | shares: their count u32, then borrower and lender u32 of each
//   XXH64 of everything before, seeded with the magic
//
// The version changes with the layout and with any change of the rules of simulation: a journal
// recorded by one must not be replayed by another. States of some versions before are still read,
// for sessions that were ended cleanly (world_load_older); what they lack is as it would be in a
// session that never had it:
//
//   9   of every player its taken_tick, of the rules commands.cooldown_ticks
//   10  of the rules sight
//   11  which chunks are charted
//   12  of every sight own, hexes, type and stealthed
//   13  who lends whom sight: allies_lend and the shares
//   14  no more chunks are charted than WORLD_CHARTED_MAX
//   15  nothing: who stands idle in the way of its own makes way
#define WORLD_SAVE_MAGIC   UINT32_C(0x57534d4d) // "MMSW"
#define WORLD_SAVE_VERSION UINT32_C(15)
#define WORLD_SAVE_OLDEST  UINT32_C(8) // that is still read

#endif
