"""Which of the SDK's test files are run, by what they are about."""

SUITES: dict[str, tuple[str, ...]] = {
    "data": ("dataset/e2etests/test_data.py",),
    "datastore": ("datastore/e2etests/test_datastore.py",),
    "code": ("code_asset/e2etests/test_code.py",),
    "environment": ("environment/e2etests/test_environment.py",),
    "component": ("component/e2etests/test_component.py",),
    "compute": ("compute/e2etests/test_compute.py",),
    "automl classification": ("automl_job/e2etests/test_remote_classification.py",),
    "automl regression": ("automl_job/e2etests/test_remote_regression.py",),
    "model": ("model/e2etests/test_model.py",),
    "online": ("online_services/e2etests/test_online_endpoint.py", "online_services/e2etests/test_online_deployment.py"),
    "batch": ("batch_services/e2etests/test_batch_endpoint.py", "batch_services/e2etests/test_batch_deployment.py"),
    "command": ("command_job/e2etests/test_command_job.py",),
    "pipeline": ("pipeline_job/e2etests/test_pipeline_job.py",),
    "schedule": ("schedule/e2etests/test_schedule.py",),
}
