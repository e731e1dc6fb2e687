// Field tables of oci.hpp.

#include "core/types/oci.hpp"

#include "core/types/describe.hpp"

namespace eve::types {

EVE_DESCRIBE(OciPlatform, (), (architecture, os))
EVE_DESCRIBE(OciDescriptor, (), (mediaType, digest, size, platform, annotations), omitempty("platform", "annotations"))
EVE_DESCRIBE(OciManifest, (), (schemaVersion, mediaType, config, layers))
EVE_DESCRIBE(OciIndex, (), (schemaVersion, mediaType, manifests))
EVE_DESCRIBE(OciRootFs, (), (type, diff_ids))
EVE_DESCRIBE(OciConfig, (), (architecture, os, rootfs))

}  // namespace eve::types
