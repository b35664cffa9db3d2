package jobplane

import (
	"context"
	"iter"

	jobplanev1 "github.com/jobplane/jobplane/clients/go/gen/jobplane/v1"
)

// RegisterDataset makes uploaded content a version of a data set. Project and content may be
// left to it: an empty project is the client's. A repeat with the same content gives the
// version again.
func (c *Client) RegisterDataset(
	ctx context.Context, request *jobplanev1.RegisterDatasetRequest,
) (*jobplanev1.Dataset, error) {
	if request.Project == "" {
		request.Project = c.project
	}
	response, err := c.datasets.RegisterDataset(ctx, request)
	return response.GetDataset(), err
}

// Dataset reads one version of a data set.
func (c *Client) Dataset(ctx context.Context, id, version string) (*jobplanev1.Dataset, error) {
	request := &jobplanev1.GetDatasetRequest{Name: c.within("datasets", id) + "/versions/" + version}
	response, err := c.datasets.GetDataset(ctx, request)
	return response.GetDataset(), err
}

// Datasets gives the versions of all data sets that match a filter, newest first.
func (c *Client) Datasets(ctx context.Context, filter string) iter.Seq2[*jobplanev1.Dataset, error] {
	fetch := func(token string) (*jobplanev1.ListDatasetsResponse, error) {
		return c.datasets.ListDatasets(ctx, &jobplanev1.ListDatasetsRequest{
			Project: c.project, Filter: filter, PageToken: token,
		})
	}
	return pages(fetch, (*jobplanev1.ListDatasetsResponse).GetDatasets)
}

// Model reads one version of a model, by name or by id.
func (c *Client) Model(ctx context.Context, model string) (*jobplanev1.Model, error) {
	response, err := c.models.GetModel(ctx, &jobplanev1.GetModelRequest{Name: c.within("models", model)})
	return response.GetModel(), err
}

// Models gives the versions of all models that match a filter, newest first.
func (c *Client) Models(ctx context.Context, filter string) iter.Seq2[*jobplanev1.Model, error] {
	fetch := func(token string) (*jobplanev1.ListModelsResponse, error) {
		return c.models.ListModels(ctx, &jobplanev1.ListModelsRequest{
			Project: c.project, Filter: filter, PageToken: token,
		})
	}
	return pages(fetch, (*jobplanev1.ListModelsResponse).GetModels)
}

// PromoteModel moves a version to a stage. Its name may be an id; it makes an idempotency key
// where none is given, and is repeated while the server cannot be reached.
func (c *Client) PromoteModel(
	ctx context.Context, request *jobplanev1.PromoteModelRequest,
) (*jobplanev1.Model, error) {
	request.Name = c.within("models", request.Name)
	newKey(&request.IdempotencyKey)
	response, err := repeat(ctx, c.retry, func() (*jobplanev1.PromoteModelResponse, error) {
		return c.models.PromoteModel(ctx, request)
	})
	return response.GetModel(), err
}

// RollbackModel puts the previous version of a stage back; see [Client.PromoteModel].
func (c *Client) RollbackModel(
	ctx context.Context, request *jobplanev1.RollbackModelRequest,
) (*jobplanev1.Model, error) {
	request.Name = c.within("models", request.Name)
	newKey(&request.IdempotencyKey)
	response, err := repeat(ctx, c.retry, func() (*jobplanev1.RollbackModelResponse, error) {
		return c.models.RollbackModel(ctx, request)
	})
	return response.GetModel(), err
}
