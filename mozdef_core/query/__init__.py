"""The query model: one tree, which every store compiles and which can be evaluated in memory."""
