"""Every call of Identity v3."""

from moorage.api.identity import discovery, schemas, tokens
from moorage.api.routes import Route

# fmt: off
ROUTES = (
    #     method    path                      handler
    Route("GET",    "/",                      discovery.versions, open=True, success=300),
    Route("GET",    "/v3",                    discovery.v3, open=True),
    Route("GET",    "/v2.0",                  discovery.gone, open=True, success=404),

    Route("POST",   "/v3/auth/tokens",        tokens.create, body=schemas.AUTH, open=True, stream=True, success=201,
          query=("nocatalog",)),
    Route("GET",    "/v3/auth/tokens",        tokens.show, query=("nocatalog", "allow_expired")),
    Route("DELETE", "/v3/auth/tokens",        tokens.delete, success=204),
    Route("GET",    "/v3/auth/projects",      tokens.projects_of),
    Route("GET",    "/v3/auth/domains",       tokens.domains_of),
    Route("GET",    "/v3/auth/system",        tokens.systems_of),
    Route("GET",    "/v3/auth/catalog",       tokens.catalog_of),
)
