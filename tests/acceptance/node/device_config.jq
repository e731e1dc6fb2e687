# Builds EVE device configs (EdgeDevConfig as protobuf JSON) for the node tests, piece by piece:
#   base | local_network(1; "10.11.0"; "eth0") | image(1; "disk.qcow2"; $sha; $size; "QCOW2") | vm(1; "web"; 1; 1; [allow_all, port_map(1; 8080; 80)]; $user_data)
# Objects of one number belong together: image N is content tree N, vm N has volume N.

def uuid(kind; n): "00000000-0000-4000-8000-" + ("000000000000" + "\(kind)\(n)")[-12:];
def network_uuid(n): uuid("1000"; n);
def app_uuid(n): uuid("2000"; n);
def volume_uuid(n): uuid("3000"; n);
def content_uuid(n): uuid("4000"; n);
def datastore_uuid: uuid("5000"; 1);

# A node with one management port, eth0, and one HTTP datastore; booting is tried again after 10 s.
def base(url): {
  id: {uuid: uuid("9000"; 1), version: "1"},
  configItems: [{key: "timer.boot.retry", value: "10"}, {key: "timer.download.retry", value: "60"}],
  deviceIoList: [{ptype: "PhyIoNetEth", phylabel: "eth0", logicallabel: "eth0", assigngrp: "eth0", phyaddrs: {Ifname: "eth0"}, usage: "PhyIoUsageMgmtAndApps"}],
  networks: [{id: uuid("6000"; 1), type: "V4", ip: {dhcp: "Client"}}],
  systemAdapterList: [{name: "eth0", uplink: true, networkUUID: uuid("6000"; 1)}],
  datastores: [{id: datastore_uuid, dType: "DsHttp", fqdn: url}],
  networkInstances: [], contentInfo: [], volumes: [], apps: []
};

# prefix: "10.11.0"; port: a label, or "" for none.
def local_network(n; prefix; port): .networkInstances += [{
  uuidandversion: {uuid: network_uuid(n), version: "1"}, displayname: "net\(n)", instType: "ZnetInstLocal", activate: true,
  port: {type: "PhyIoNetEth", name: port}, ipType: "IPV4", disable_flowlog: true,
  ip: {subnet: "\(prefix).0/24", gateway: "\(prefix).1", dhcpRange: {start: "\(prefix).2", end: "\(prefix).100"}}}];

def switch_network(n; port): .networkInstances += [{
  uuidandversion: {uuid: network_uuid(n), version: "1"}, displayname: "net\(n)", instType: "ZnetInstSwitch", activate: true,
  port: {type: "PhyIoNetEth", name: port}, disable_flowlog: true}];

# format: "QCOW2" or "RAW".
def image(n; file; sha256; size; format): .contentInfo += [{
  uuid: content_uuid(n), dsId: datastore_uuid, URL: file, iformat: format, sha256: sha256, maxSizeBytes: "\(size)", displayName: file}];

def volume(n; image): .volumes += [{
  uuid: volume_uuid(n), displayName: "volume\(n)", clear_text: true, generationCount: "0",
  origin: {type: "VCOT_DOWNLOAD", downloadContentTreeID: content_uuid(image)}}];

def allow(id; target): {id: id, matches: [{type: "ip", value: target}]};
def allow_all: allow(99; "0.0.0.0/0");
def deny(id; target): {id: id, matches: [{type: "ip", value: target}], actions: [{drop: true}]};
def port_map(id; port; app_port): {id: id, matches: [{type: "protocol", value: "tcp"}, {type: "lport", value: "\(port)"}], actions: [{portmap: true, appPort: app_port}]};

# A virtual machine of 256 MiB with one disk of image `image` and one adapter on network `network`.
def vm(n; name; image; network; acls; user_data): volume(n; image) | .apps += [{
  uuidandversion: {uuid: app_uuid(n), version: "1"}, displayname: name, activate: true,
  fixedresources: {memory: 262144, maxmem: 262144, vcpus: 1, maxcpus: 1, virtualizationMode: "HVM"},
  volumeRefList: [{uuid: volume_uuid(n), generationCount: "0"}],
  interfaces: [{name: "eth0", networkId: network_uuid(network), acls: acls}],
  userData: (user_data | @base64)}];

# A small one without network, for life-cycle tests.
def small_vm(n; name; image): volume(n; image) | .apps += [{
  uuidandversion: {uuid: app_uuid(n), version: "1"}, displayname: name, activate: true,
  fixedresources: {memory: 32768, maxmem: 32768, vcpus: 1, maxcpus: 1, virtualizationMode: "HVM"},
  volumeRefList: [{uuid: volume_uuid(n), generationCount: "0"}]}];

# A registry of container images; ca: the PEM of who signed its certificate, in base64.
def registry(n; fqdn; ca): .datastores += [{id: uuid("5000"; n), dType: "DsContainerRegistry", fqdn: fqdn, dsCertPEM: [ca]}];
def container_image(n; name; registry): .contentInfo += [{
  uuid: content_uuid(n), dsId: uuid("5000"; registry), URL: name, iformat: "CONTAINER", maxSizeBytes: "100000000", displayName: name}];

# A container of 64 MiB with image `image` and one adapter on network `network`; variables: text of lines NAME=value.
def container(n; name; image; network; acls; variables): volume(n; image) | .apps += [{
  uuidandversion: {uuid: app_uuid(n), version: "1"}, displayname: name, activate: true,
  fixedresources: {memory: 65536, maxmem: 65536, vcpus: 1, maxcpus: 1, virtualizationMode: "NOHYPER"},
  volumeRefList: [{uuid: volume_uuid(n), generationCount: "0"}],
  interfaces: [{name: "eth0", networkId: network_uuid(network), acls: acls}],
  userData: (variables | @base64)}];

# The app with another mode ("HVM", "PV", "NOHYPER") and 192 MiB; counter: of its restarts, one more than before, since a change of mode needs one.
def in_mode(mode; counter): .apps |= map(.fixedresources += {memory: 196608, maxmem: 196608, virtualizationMode: mode}
  | .restart = {counter: counter} | .uuidandversion.version = "\(counter + 1)");
