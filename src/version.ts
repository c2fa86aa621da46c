/** What this is, and which Redis it speaks as: clients gate features on the latter. */
export const BUNDIS_VERSION = "0.1.0"
export const REDIS_VERSION = "7.4.2"
