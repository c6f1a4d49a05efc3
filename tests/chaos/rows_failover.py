"""The place of rows for Sentinel failover and for a Cluster of three masters and three replicas with one master killed.

They lose what a replica had not got yet, so they are rows with a `bound`: `row(..., bound=SHARE, bound_words="...",
measured=("lost", "vanished"))`, with options of Rig that begin those Redis programs (`Rig._plan_redis`, `Rig._store`).
"""
