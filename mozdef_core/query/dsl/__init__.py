"""Events and queries in the language of Elasticsearch and OpenSearch: documents, index template, compiled queries.

Nothing here does any input or output; indices/ does, for both engines.
"""
