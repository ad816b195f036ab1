//! The backends that are compiled in.

use rustwren_core::config::Registry;
use rustwren_core::storage::MemoryStorageFactory;

/// All of them, by name.
pub fn compiled_in() -> Registry {
    let registry = Registry::new()
        .storage(MemoryStorageFactory)
        .storage_wrapper(rustwren_chaos::ChaosStorageWrapper)
        .invoker_wrapper(rustwren_chaos::ChaosInvokerWrapper)
        .storage(rustwren_local::DirectoryStorageFactory)
        .invoker(rustwren_local::LocalInvokerFactory);
    #[cfg(feature = "http")]
    let registry = registry
        .storage(rustwren_http::HttpStorageFactory)
        .invoker(rustwren_http::HttpInvokerFactory)
        .provisioner(rustwren_http::HttpProvisionerFactory);
    #[cfg(feature = "aws")]
    let registry =
        registry.storage(rustwren_aws::S3StorageFactory).invoker(rustwren_aws::LambdaInvokerFactory);
    #[cfg(feature = "gcp")]
    let registry =
        registry.storage(rustwren_gcp::GcsStorageFactory).invoker(rustwren_gcp::CloudRunInvokerFactory);
    #[cfg(feature = "gcp-setup")]
    let registry = registry.provisioner(rustwren_gcp::provision::GcpProvisionerFactory::default());
    #[cfg(feature = "aws-setup")]
    let registry = registry.provisioner(rustwren_aws::provision::AwsProvisionerFactory::default());
    #[cfg(feature = "azure")]
    let registry =
        registry.storage(rustwren_azure::BlobStorageFactory).invoker(rustwren_azure::FunctionsInvokerFactory);
    #[cfg(feature = "azure-setup")]
    let registry = registry.provisioner(rustwren_azure::provision::AzureProvisionerFactory::default());
    registry
}
