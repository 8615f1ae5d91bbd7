"""The wire: routes, versions, schemas, views and policy, all as rows; a folder for each service."""
